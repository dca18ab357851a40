(* Claims about sums of products: what a table does to them, and the inner product that all are joined into.
   mpc-core/src/security/active/{binding,mixed,columns,inner}.rs; docs/protocols.md, "The check", 3 to 5. *)

From mathcomp Require Import all_ssreflect all_algebra.
From Check Require Import calc exceptional game table.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Claims.

Variables (C : finType) (M : Type) (R : comUnitRingType) (chal : C -> R).
Hypothesis chalP : exceptional chal.
Local Notation eps := (eps C).
Local Notation draw := (@draw C M R chal).

Add Ring R_ring : (calc_theory R).
Ltac calc := calc_names R; ring.

Implicit Types (T U : seq digit -> R) (ts : seq R).

(** Tables of which the claims say a part *)

(* The first point of the cube. *)
Definition origin (l : nat) : seq bool := nseq l false.

Fixpoint to_cube (e : seq digit) : option (seq bool) :=
  match e with
  | [::] => Some [::]
  | Infinity :: _ => None
  | Zero :: e' => omap (cons false) (to_cube e')
  | One :: e' => omap (cons true) (to_cube e')
  end.

Lemma to_cubeK a : to_cube (on_cube a) = Some a.
Proof. by elim: a => [|[] a IH] //=; rewrite IH. Qed.

(* `from_rows`: on the cube the claims, elsewhere what was received. *)
Definition from_rows (rows : seq bool -> R) T e := if to_cube e is Some a then rows a else T e.

(* `from_sum`: all but the first entry was received; that one makes the weighted sum right. *)
Definition from_sum l (weight : seq bool -> R) T (c : R) e :=
  if to_cube e is Some a then
    if a == origin l then c - \sum_(a <- behead (cube l)) weight a * T (on_cube a) else T e
  else T e.

Lemma cube_uniq l : uniq (cube l).
Proof. by apply: (@map_uniq _ _ number); rewrite number_cube iota_uniq. Qed.

Lemma cube_origin l : cube l = origin l :: behead (cube l).
Proof. by elim: l => //= l ->. Qed.

Lemma sum_from_sum l weight T c : weight (origin l) = 1 ->
  \sum_(a <- cube l) weight a * from_sum l weight T c (on_cube a) = c.
Proof.
move=> w1; rewrite cube_origin big_cons {1}/from_sum to_cubeK eqxx w1 mul1r.
rewrite -[RHS](subrK (\sum_(a <- behead (cube l)) weight a * T (on_cube a))); congr (_ + _).
rewrite big_seq [RHS]big_seq; apply: eq_bigr => a a_l; congr (_ * _).
rewrite /from_sum to_cubeK ifN //.
by have := cube_uniq l; rewrite cube_origin /= => /andP [oNl _]; apply: contraNneq oNl => <-.
Qed.

(* A false sum: whatever is received, the table is not U, so its value at a random point is not that of U. *)
Lemma at_most_sum l (weight : seq bool -> R) T U c next (b : rat) :
  0 <= b -> weight (origin l) = 1 -> \sum_(a <- cube l) weight a * U (on_cube a) != c ->
  (forall ts, size ts = l -> interp U ts != interp (from_sum l weight T c) ts -> at_most (next ts) b) ->
  at_most (draw l next) ((2 * l)%:R * eps + b).
Proof.
move=> b0 w1 ne H; pose V := from_sum l weight T c.
have [/hasP [a]|/hasPn same] := boolP (has (fun a => U (on_cube a) != V (on_cube a)) (cube l)).
  rewrite mem_cube => /eqP sa neq.
  apply: (@at_most_table _ _ _ _ chalP l (fun e => U e - V e) (on_cube a)) => //.
  - by rewrite size_map.
  - by rewrite subr_eq0.
  - by move=> ts sts; rewrite interpB subr_eq0; apply: H.
case/negP: ne; rewrite -[c in X in _ == X](@sum_from_sum l weight T c w1) big_seq [X in _ == X]big_seq; apply/eqP.
by apply: eq_bigr => a /same /negPn /eqP ->.
Qed.

(* A false row. *)
Lemma at_most_rows l (rows : seq bool -> R) T U (a : seq bool) next (b : rat) :
  0 <= b -> size a = l -> U (on_cube a) != rows a ->
  (forall ts, size ts = l -> interp U ts != interp (from_rows rows T) ts -> at_most (next ts) b) ->
  at_most (draw l next) ((2 * l)%:R * eps + b).
Proof.
move=> b0 sa ne H.
apply: (@at_most_table _ _ _ _ chalP l (fun e => U e - from_rows rows T e) (on_cube a)) => //.
- by rewrite size_map.
- by rewrite subr_eq0 /from_rows to_cubeK.
- by move=> ts sts; rewrite interpB subr_eq0; apply: H.
Qed.

(** The inner product: `InnerProduct` *)

Record inner := Inner { p : seq R; q : seq R; c : R }.

Definition error (d : inner) := \sum_(i < size (p d)) nth 0 (p d) i * nth 0 (q d) i - c d.

Definition paired (d : inner) := size (p d) = size (q d).

(* `push`, of a claim that is multiplied by rho. *)
Definition push (d : inner) (rho : R) (d' : inner) :=
  Inner (p d ++ map ( *%R rho) (p d')) (q d ++ q d') (c d + rho * c d').

Lemma paired_push d rho d' : paired d -> paired d' -> paired (push d rho d').
Proof. by rewrite /paired /= !size_cat size_map => -> ->. Qed.

Lemma error_push d rho d' : paired d -> error (push d rho d') = error d + rho * error d'.
Proof.
move=> sd; rewrite /error /= size_cat size_map big_split_ord /=.
rewrite (eq_bigr (fun i : 'I_(size (p d)) => nth 0 (p d) i * nth 0 (q d) i)); last first.
  by move=> i _; rewrite !nth_cat -sd ltn_ord.
rewrite [X in _ + X - _](eq_bigr (fun i : 'I_(size (p d')) => rho * (nth 0 (p d') i * nth 0 (q d') i))).
  by rewrite -mulr_sumr mulrBr opprD addrACA.
by move=> i _; rewrite !nth_cat -sd ltnNge leq_addr /= addKn (nth_map 0) // mulrA.
Qed.

Fixpoint push_all (d : inner) (rhos : seq R) (ds : seq inner) :=
  if ds is d' :: ds' then push_all (push d (head 0 rhos) d') (behead rhos) ds' else d.

Lemma paired_push_all d rhos ds : paired d -> List.Forall paired ds -> paired (push_all d rhos ds).
Proof.
move=> + all; elim: all d rhos => //= d' ds' pd' _ IH d rhos pd.
by apply: IH; apply: paired_push.
Qed.

Lemma size_push_all d rhos ds : size (p (push_all d rhos ds)) = (size (p d) + sumn (map (size \o p) ds))%N.
Proof.
elim: ds d rhos => [|d' ds IH] d rhos; first by rewrite addn0.
by rewrite IH /= size_cat size_map addnA.
Qed.

Lemma error_push_all d rhos ds : paired d -> List.Forall paired ds ->
  error (push_all d rhos ds) = error d + \sum_(i < size ds) nth 0 rhos i * nth 0 (map error ds) i.
Proof.
move=> + all; elim: all d rhos => [|d' ds' pd' _ IH] d rhos pd /=; first by rewrite big_ord0 addr0.
rewrite IH; last exact: paired_push.
rewrite big_ord_recl /= error_push // -addrA; congr (_ + (_ * _ + _)).
by apply: eq_bigr => i _ /=; congr (_ * _); case: rhos => //=; rewrite ?nth_nil.
Qed.

Lemma all_Exists (A : Type) (f : pred A) s : all f s -> List.Exists (fun x => ~~ f x) s -> False.
Proof. by move=> + ex; elim: ex => /= [x l Nfx|x l _ IH] /andP [fx fl]; [case/negP: Nfx | apply: IH]. Qed.

(* A moment of joining, `bind` in inner.rs: every bound claim with a weight that is drawn now. *)
Definition join (d : inner) (ds : seq inner) (next : inner -> game C M) : game C M :=
  draw (size ds) (fun rhos => next (push_all d rhos ds)).

(* Is something there that can be false? Then one value of its weight hides it; else nothing can. *)
Lemma at_most_join d ds next (b : rat) :
  0 <= b -> paired d -> List.Forall paired ds -> error d != 0 \/ List.Exists (fun d' => error d' != 0) ds ->
  (forall d', paired d' -> size (p d') = (size (p d) + sumn (map (size \o p) ds))%N -> error d' != 0 -> at_most (next d') b) ->
  at_most (join d ds next) ((0 < size ds)%N%:R * eps + b).
Proof.
move=> b0 pd pds bad H.
have [all0|some] := boolP (all (fun d' => error d' == 0) ds).
  have errs i : nth 0 (map error ds) i = 0.
    elim: ds all0 i {pds bad H} => [|d' ds IH] /=; first by move=> _ i; rewrite nth_nil.
    by case/andP => /eqP e0 al [|i] //=; apply: IH.
  have d0 : error d != 0.
    by case: bad => // bad; case: (all_Exists all0 bad).
  apply: at_most_le (_ : at_most _ b) _; last by rewrite ler_addr mulr_ge0 ?ler0n ?eps_ge0.
  apply: at_most_draw => // rhos _; apply: H.
  - exact: paired_push_all.
  - exact: size_push_all.
  - by rewrite error_push_all // big1 ?addr0 // => i _; rewrite errs mulr0.
have ds_gt0 : (0 < size ds)%N by case: ds some {pds bad H}.
rewrite ds_gt0 mul1r; have [i i_ds ei] : exists2 i, (i < size ds)%N & nth 0 (map error ds) i != 0.
  have /allPn [e /(nthP 0) [i]] : ~~ all (fun e => e == 0) (map error ds) by rewrite all_map.
  by rewrite size_map => i_ds <- ei; exists i.
apply: (@at_most_linear _ _ _ _ chalP _ (error d) (nth 0 (map error ds))) => //; first by exists i.
move=> rhos _ ne; apply: H.
- exact: paired_push_all.
- exact: size_push_all.
- by rewrite error_push_all.
Qed.

(** Claims with variables that are free *)

(* sum_a weight(a) sum_i left_i(a) right_i(a) = value, over a in {0, 1}^l and i < len. *)
Record claim := Claim { len : nat; left : nat -> seq bool -> R; right : nat -> seq bool -> R;
                        weight : seq bool -> R; value : R }.

Definition products (k : claim) a := \sum_(i < len k) left k i a * right k i a.

Definition holds l (k : claim) := \sum_(a <- cube l) weight k a * products k a == value k.

(* Its polynomials at a point, and the value there that the parties hold. *)
Definition at_point (k : claim) ts (v : R) : inner :=
  Inner (mkseq (fun i => mle (left k i) ts) (len k)) (mkseq (fun i => mle (right k i) ts) (len k)) v.

Lemma paired_at_point k ts v : paired (at_point k ts v).
Proof. by rewrite /paired !size_mkseq. Qed.

Lemma error_at_point k ts v : error (at_point k ts v) = \sum_(i < len k) mle (left k i) ts * mle (right k i) ts - v.
Proof.
by rewrite /error size_mkseq; congr (_ - _); apply: eq_bigr => i _; rewrite !nth_mkseq.
Qed.

(* The table of a claim: received, but for the first entry. Binds all of its variables. *)
Definition bind_sum l (k : claim) T ts : inner := at_point k ts (interp (from_sum l (weight k) T (value k)) ts).

Lemma at_most_bind_sum l k T next (b : rat) :
  0 <= b -> weight k (origin l) = 1 -> ~~ holds l k ->
  (forall ts, size ts = l -> error (bind_sum l k T ts) != 0 -> at_most (next ts) b) ->
  at_most (draw l next) ((2 * l)%:R * eps + b).
Proof.
move=> b0 w1 bad H.
pose U e := \sum_(i < len k) ext (left k i) e * ext (right k i) e.
apply: (@at_most_sum l (weight k) T U (value k)) => //.
  apply: contra bad => /eqP Uk; rewrite /holds -Uk; apply/eqP; apply: eq_bigr => a _; congr (_ * _).
  by apply: eq_bigr => i _; rewrite !ext_on_cube.
move=> ts sts ne; apply: H => //; rewrite error_at_point subr_eq0.
by move: ne; rewrite interp_sum; under eq_bigr do rewrite interp_product.
Qed.

(* Operands over the base ring, whose variables are bound in two steps: `Binding`. *)
Inductive claimed := Rows of (seq bool -> R) | Sum of R.

Record unlifted := Unlifted { first : nat; second : nat; operands : claim; known : claimed }.

(* The table of the first step, sum_b u_b T(e, b). Its values on the cube are known, or their sum. *)
Definition first_table (u : unlifted) (e : seq digit) :=
  \sum_(b <- cube (second u)) weight (operands u) b *
    \sum_(i < len (operands u)) ext (left (operands u) i) (e ++ on_cube b) * ext (right (operands u) i) (e ++ on_cube b).

Definition stands (u : unlifted) :=
  match known u with
  | Rows rows => all (fun a => first_table u (on_cube a) == rows a) (cube (first u))
  | Sum v => \sum_(a <- cube (first u)) first_table u (on_cube a) == v
  end.

Definition first_received (u : unlifted) T :=
  match known u with
  | Rows rows => from_rows rows T
  | Sum v => from_sum (first u) (fun _ => 1) T v
  end.

Definition bind_first (u : unlifted) T ts : claim :=
  let k := operands u in
  Claim (len k) (fun i => bind (left k i) ts) (fun i => bind (right k i) ts) (weight k) (interp (first_received u T) ts).

Lemma interp_first_table u ts :
  interp (first_table u) ts =
  \sum_(b <- cube (second u)) weight (operands u) b *
    \sum_(i < len (operands u)) bind (left (operands u) i) ts b * bind (right (operands u) i) ts b.
Proof.
rewrite /first_table interp_sum; apply: eq_bigr => b _; rewrite interpZ; congr (_ * _).
rewrite interp_sum; apply: eq_bigr => i _.
by rewrite -interp_product; apply: eq_interp => e; rewrite !ext_cat.
Qed.

Lemma at_most_bind_first u T next (b : rat) :
  0 <= b -> ~~ stands u ->
  (forall ts, size ts = first u -> ~~ holds (second u) (bind_first u T ts) -> at_most (next ts) b) ->
  at_most (draw (first u) next) ((2 * first u)%:R * eps + b).
Proof.
rewrite /stands => b0 bad H.
have {}H ts : size ts = first u -> interp (first_table u) ts != interp (first_received u T) ts -> at_most (next ts) b.
  by rewrite interp_first_table; apply: H.
move: bad H; rewrite /first_received; case: (known u) => [rows|v] bad H.
  have [a] := allPn bad; rewrite mem_cube => /eqP sa ne.
  exact: (at_most_rows b0 sa ne H).
apply: (at_most_sum b0 _ _ H) => //.
by under eq_bigr do rewrite mul1r.
Qed.

End Claims.
