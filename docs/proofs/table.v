(* Multilinear extensions on the points 0, 1 and infinity, and their tables.
   mpc-core/src/security/active/table.rs; docs/protocols.md, "The check", 3 and 5. *)

From mathcomp Require Import all_ssreflect all_algebra.
From Check Require Import calc exceptional game.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Inductive digit := Zero | One | Infinity.

Definition of_bit (b : bool) := if b then One else Zero.

Definition on_cube (a : seq bool) : seq digit := map of_bit a.

(* The points of {0, 1}^l, the digit of the first variable leading: `cube`. *)
Fixpoint cube (l : nat) : seq (seq bool) :=
  if l is m.+1 then map (cons false) (cube m) ++ map (cons true) (cube m) else [:: [::]].

(* The number of a block. *)
Fixpoint number (a : seq bool) : nat := if a is b :: a' then (b * 2 ^ size a' + number a')%N else 0%N.

Lemma mem_cube l a : (a \in cube l) = (size a == l).
Proof.
elim: l a => [|l IHl] [|b a] //=.
  by rewrite mem_cat; apply/norP; split; apply/mapP => - [].
rewrite mem_cat eqSS -IHl.
have inj c : injective (cons c : seq bool -> _) by move=> x y [].
have other c (s : seq (seq bool)) : (~~ c :: a \in map (cons c) s) = false.
  by apply/mapP => - [x _ []]; case: c.
by case: b; rewrite mem_map // ?(other false) ?(other true) ?orbF.
Qed.

Lemma number_cube l : map number (cube l) = iota 0 (2 ^ l).
Proof.
elim: l => //= l IHl; rewrite map_cat -!map_comp expnS mul2n -addnn iotaD add0n.
congr (_ ++ _); first by rewrite -IHl; apply: eq_map => a /=; rewrite mul0n.
rewrite -[X in iota X]addn0 iotaDl -IHl -map_comp.
by apply/eq_in_map => a; rewrite mem_cube => /eqP <- /=; rewrite mul1n.
Qed.

Section Tables.

Variable R : comUnitRingType.

Implicit Types (F G : seq bool -> R) (T U : seq digit -> R) (ts us : seq R).

(* One variable bound to t. *)
Definition fold2 F (t : R) a := (1 - t) * F (false :: a) + t * F (true :: a).
Definition fold3 T (t : R) e := (1 - t) * T (Zero :: e) + t * T (One :: e) + (t * t - t) * T (Infinity :: e).

(* F(t): what `factors` and `fold` compute of the blocks. *)
Fixpoint mle F ts : R := if ts is t :: ts' then mle (fold2 F t) ts' else F [::].

(* The value at t of the polynomial with this table: `interpolate`. *)
Fixpoint interp T ts : R := if ts is t :: ts' then interp (fold3 T t) ts' else T [::].

(* The value of F at a point of {0, 1, infinity}^l: `extend`. *)
Fixpoint ext F (e : seq digit) : R :=
  match e with
  | [::] => F [::]
  | Zero :: e' => ext (fun a => F (false :: a)) e'
  | One :: e' => ext (fun a => F (true :: a)) e'
  | Infinity :: e' => ext (fun a => F (true :: a) - F (false :: a)) e'
  end.

(* The first variables bound to ts, the others free. *)
Definition bind F ts b := mle (fun a => F (a ++ b)) ts.

Lemma eq_mle F G ts : F =1 G -> mle F ts = mle G ts.
Proof. by elim: ts F G => [|t ts IH] F G FG //=; apply: IH => a; rewrite /fold2 !FG. Qed.

Lemma eq_interp T U ts : T =1 U -> interp T ts = interp U ts.
Proof. by elim: ts T U => [|t ts IH] T U TU //=; apply: IH => a; rewrite /fold3 !TU. Qed.

Lemma eq_ext F G e : F =1 G -> ext F e = ext G e.
Proof. by elim: e F G => [|[] e IH] F G FG //=; apply: IH => a; rewrite !FG. Qed.

Add Ring R_ring : (calc_theory R).
Ltac calc := calc_names R; ring.

Lemma linear2 (x y p q r s t : R) :
  (1 - t) * (x * p + y * q) + t * (x * r + y * s) = x * ((1 - t) * p + t * r) + y * ((1 - t) * q + t * s).
Proof. by rewrite !mulrDr !(mulrCA x) !(mulrCA y) addrACA. Qed.

Lemma ext_linear (x y : R) F G e : ext (fun a => x * F a + y * G a) e = x * ext F e + y * ext G e.
Proof.
elim: e F G => [|[] e IH] F G //=.
rewrite -IH; apply: eq_ext => a.
by rewrite !mulrBr opprD addrACA.
Qed.

Lemma mle_linear (x y : R) F G ts : mle (fun a => x * F a + y * G a) ts = x * mle F ts + y * mle G ts.
Proof.
elim: ts F G => [|t ts IH] F G //=.
by rewrite -IH; apply: eq_mle => a; rewrite /fold2 linear2.
Qed.

Lemma interp_linear (x y : R) T U ts : interp (fun e => x * T e + y * U e) ts = x * interp T ts + y * interp U ts.
Proof.
elim: ts T U => [|t ts IH] T U //=.
rewrite -IH; apply: eq_interp => e; rewrite /fold3 linear2.
by rewrite [_ * (x * _ + _)]mulrDr !(mulrCA (t * t - t)) addrACA -!mulrDr.
Qed.

Lemma interpB T U ts : interp (fun e => T e - U e) ts = interp T ts - interp U ts.
Proof.
rewrite -[interp T ts]mul1r -mulN1r -interp_linear.
by apply: eq_interp => e; rewrite mul1r mulN1r.
Qed.

Lemma interpZ (x : R) T ts : interp (fun e => x * T e) ts = x * interp T ts.
Proof.
rewrite -[RHS]addr0 -[X in _ + X](mul0r (interp T ts)) -interp_linear.
by apply: eq_interp => e; rewrite mul0r addr0.
Qed.

Lemma interp0 ts : interp (fun _ => 0) ts = 0.
Proof. by rewrite -[LHS](@eq_interp (fun e => 0 * 0)) ?interpZ ?mul0r // => e; rewrite mul0r. Qed.

Lemma interpD T U ts : interp (fun e => T e + U e) ts = interp T ts + interp U ts.
Proof.
rewrite -[interp T ts]mul1r -[interp U ts]mul1r -interp_linear.
by apply: eq_interp => e; rewrite !mul1r.
Qed.

Lemma interp_sum (I : Type) (r : seq I) (T : I -> seq digit -> R) ts :
  interp (fun e => \sum_(i <- r) T i e) ts = \sum_(i <- r) interp (T i) ts.
Proof.
elim: r => [|i r IH].
  by rewrite big_nil -[RHS](interp0 ts); apply: eq_interp => e; rewrite big_nil.
rewrite big_cons -IH -interpD; apply: eq_interp => e; by rewrite big_cons.
Qed.

Lemma mleZ (x : R) F ts : mle (fun a => x * F a) ts = x * mle F ts.
Proof.
rewrite -[RHS]addr0 -[X in _ + X](mul0r (mle F ts)) -mle_linear.
by apply: eq_mle => e; rewrite mul0r addr0.
Qed.

(* (1 - t) a c + t b d + (t^2 - t) (b - a) (d - c) = ((1 - t) a + t b) ((1 - t) c + t d) *)
Lemma root_form (z o i t : R) : z + (o - z - i) * t + i * (t * t) = (1 - t) * z + t * o + (t * t - t) * i.
Proof. by calc. Qed.

Lemma quadratic (a b c d t : R) :
  (1 - t) * (a * c) + t * (b * d) + (t * t - t) * ((b - a) * (d - c)) =
  ((1 - t) * a + t * b) * ((1 - t) * c + t * d).
Proof.
by calc.
Qed.

(* The product of two multilinear polynomials is what its table says, and so is a sum of such products. *)
Lemma interp_product F G ts : interp (fun e => ext F e * ext G e) ts = mle F ts * mle G ts.
Proof.
elim: ts F G => [|t ts IH] F G //=.
rewrite -IH; apply: eq_interp => e; rewrite /fold3 /= !ext_linear -quadratic.
have sub H H' : ext (fun a => H a - H' a) e = ext H e - ext H' e.
  by rewrite -[ext H e]mul1r -mulN1r -ext_linear; apply: eq_ext => a; rewrite mul1r mulN1r.
by rewrite !sub.
Qed.

Lemma ext_on_cube F a : ext F (on_cube a) = F a.
Proof. by elim: a F => [|[] a IH] F //=; rewrite IH. Qed.

Lemma ext_cat F e a : ext F (e ++ on_cube a) = ext (fun a' => F (a' ++ a)) e.
Proof. by elim: e F => [|[] e IH] F /=; rewrite ?ext_on_cube ?IH. Qed.

Lemma mle_cat F ts us : mle (bind F ts) us = mle F (ts ++ us).
Proof.
elim: ts F => [|t ts IH] F /=; first by apply: eq_mle.
by rewrite -IH; apply: eq_mle.
Qed.

Lemma bind_nil F ts : bind F ts [::] = mle F ts.
Proof. by apply: eq_mle => a; rewrite cats0. Qed.

(* `factors`: products of t_v and 1 - t_v. F(t) is the sum of the blocks with these factors. *)
Fixpoint factor ts (a : seq bool) : R :=
  match ts, a with t :: ts', b :: a' => (if b then t else 1 - t) * factor ts' a' | _, _ => 1 end.

Lemma mle_factors F ts : mle F ts = \sum_(a <- cube (size ts)) factor ts a * F a.
Proof.
elim: ts F => [|t ts IH] F /=; first by rewrite big_seq1 mul1r.
rewrite IH big_cat !big_map -big_split /=; apply: eq_bigr => a _.
by rewrite /fold2 mulrDr !(mulrCA (factor ts a)) !mulrA.
Qed.

End Tables.

(* A table that is not zero at some point is a polynomial, of degree 2 in each variable, that is not zero. *)
Section Errors.

Variables (C : finType) (M : Type) (R : comUnitRingType) (chal : C -> R).
Hypothesis chalP : exceptional chal.
Local Notation eps := (eps C).
Local Notation draw := (@draw C M R chal).

Lemma at_most_table l (D : seq digit -> R) (e : seq digit) next (b : rat) :
  0 <= b -> size e = l -> D e != 0 ->
  (forall ts, size ts = l -> interp D ts != 0 -> at_most (next ts) b) ->
  at_most (draw l next) ((2 * l)%:R * eps + b).
Proof.
move=> b0; elim: l D e next => [|l IHl] D [|i e] next //= => [_ ne H|[se] ne H].
  by rewrite muln0 mul0r add0r; apply: H.
pose p : {poly R} := (D (Zero :: e))%:P + (D (One :: e) - D (Zero :: e) - D (Infinity :: e)) *: 'X
  + D (Infinity :: e) *: 'X^2.
have pE t : p.[t] = fold3 D t e.
  rewrite /p !hornerD !hornerZ hornerC hornerX hornerXn /fold3 expr2.
  by apply: root_form.
rewrite mulnS natrD mulrDl -addrA; apply: (@at_most_root_all _ _ _ _ chalP _ p 2).
- by rewrite addr_ge0 ?mulr_ge0 ?ler0n ?eps_ge0.
- apply: contra ne => /eqP p0.
  have c k : p`_k = 0 by rewrite p0 coef0.
  have := c 0%N; have := c 1%N; have := c 2%N.
  rewrite /p !coefD !coefZ !coefC !coefX !coefXn /= !mulr0 !mulr1 !addr0 !add0r => i0.
  rewrite i0 subr0 => + z0; rewrite z0 subr0 => o0.
  by case: i; rewrite ?z0 ?o0 ?i0.
- apply: leq_trans (size_add _ _) _; rewrite geq_max; apply/andP; split; last first.
    by apply: leq_trans (size_scale_leq _ _) _; rewrite size_polyXn.
  apply: leq_trans (size_add _ _) _; rewrite geq_max; apply/andP; split.
    by apply: leq_trans (size_polyC_leq1 _) _.
  by apply: leq_trans (size_scale_leq _ _) _; rewrite size_polyX.
move=> c; rewrite pE => nz; apply: (IHl (fold3 D (chal c)) e) => // ts sts ne'.
by apply: H; rewrite /= ?sts.
Qed.

End Errors.
