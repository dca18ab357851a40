(* Public coins, messages of a cheater, a verdict: the share of challenges for which the cheater gets through. *)

From mathcomp Require Import all_ssreflect all_algebra.
From Check Require Import exceptional.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Game.

Variables (C : finType) (M : Type).

(* What the honest parties do. `Toss A` draws a challenge of A uniformly; `Receive` takes whatever the cheater wants them to hold. *)
Inductive game :=
  | Verdict of bool
  | Toss of {set C} & (C -> game)
  | Receive of (M -> game).

(* A cheater decides on a message when it has seen all challenges before it, and no later one. *)
Definition cheater := seq C -> M.

(* The share of challenges for which the verdict is `true`, after `seen`. *)
Fixpoint share (adv : cheater) (seen : seq C) (g : game) : rat :=
  match g with
  | Verdict accepted => accepted%:R
  | Toss A next => (\sum_(c in A) share adv (rcons seen c) (next c)) / #|A|%:R
  | Receive next => share adv seen (next (adv seen))
  end.

Definition at_most (g : game) (b : rat) := forall adv seen, share adv seen g <= b.

Lemma share_ge0 adv seen g : 0 <= share adv seen g.
Proof.
elim: g seen => [b|A next IH|next IH] seen /=; first by case: b.
- by apply: divr_ge0; [apply: sumr_ge0 => c _; apply: IH | apply: ler0n].
- exact: IH.
Qed.

Lemma share_le1 adv seen g : share adv seen g <= 1.
Proof.
elim: g seen => [b|A next IH|next IH] seen /=; first by case: b.
- have [->|A0] := eqVneq A set0; first by rewrite cards0 invr0 mulr0 ler01.
  rewrite ler_pdivr_mulr ?mul1r ?ltr0n ?card_gt0 //.
  apply: le_trans (ler_sum _ (fun c _ => IH c _)) _.
  by rewrite sumr_const.
- exact: IH.
Qed.

Lemma at_most_one g : at_most g 1.
Proof. by move=> adv seen; apply: share_le1. Qed.

Lemma at_most_le g b b' : at_most g b -> b <= b' -> at_most g b'.
Proof. by move=> gb bb' adv seen; apply: le_trans (gb _ _) bb'. Qed.

Lemma at_most_refuse b : 0 <= b -> at_most (Verdict false) b.
Proof. by move=> b0 adv seen. Qed.

Lemma at_most_receive next b : (forall m, at_most (next m) b) -> at_most (Receive next) b.
Proof. by move=> H adv seen; apply: H. Qed.

(* A toss after which the bound is b, but for at most n challenges. *)
Lemma at_most_toss (A bad : {set C}) next (n : nat) (b : rat) :
  0 <= b -> bad \subset A -> (#|bad| <= n)%N -> (forall c, c \in A -> c \notin bad -> at_most (next c) b) ->
  at_most (Toss A next) (n%:R / #|A|%:R + b).
Proof.
move=> b0 badA nbad good adv seen /=.
have [->|A0] := eqVneq A set0.
  by rewrite cards0 invr0 !mulr0 add0r.
have A_gt0 : (0 : rat) < #|A|%:R by rewrite ltr0n card_gt0.
rewrite -[b in X in _ <= X](mulfK (lt0r_neq0 A_gt0)) -mulrDl.
apply: ler_wpmul2r; first by rewrite invr_ge0 ltW.
rewrite (bigID (mem bad)) /=; apply: ler_add.
  apply: (@le_trans _ _ (\sum_(c in A | c \in bad) 1)).
    by apply: ler_sum => c _; apply: share_le1.
  rewrite sumr_const ler_nat; apply: leq_trans nbad; apply: subset_leq_card.
  by apply/subsetP => c /andP [].
apply: (@le_trans _ _ (\sum_(c in A | c \notin bad) b)).
  by apply: ler_sum => c /andP [cA cNbad]; apply: good.
rewrite sumr_const -(mulr_natr b); apply: ler_wpmul2l => //; rewrite ler_nat.
by apply: subset_leq_card; apply/subsetP => c /andP [].
Qed.

Lemma at_most_toss_any (A : {set C}) next (b : rat) :
  0 <= b -> (forall c, c \in A -> at_most (next c) b) -> at_most (Toss A next) b.
Proof.
move=> b0 H; apply: at_most_le (@at_most_toss A set0 next 0 b b0 _ _ _) _.
- exact: sub0set.
- by rewrite cards0.
- by move=> c cA _; apply: H.
- by rewrite mul0r add0r.
Qed.

(* What is left to chance elsewhere: other rings, other batches. The cheater may know all of it beforehand. *)
Lemma outside_chance (O : finType) (advs : O -> cheater) (seen : O -> seq C) (g : O -> game) (b : rat) :
  0 <= b -> (forall o, at_most (g o) b) -> (\sum_o share (advs o) (seen o) (g o)) / #|O|%:R <= b.
Proof.
move=> b0 H; have [O0|O0] := eqVneq #|O| 0%N; first by rewrite O0 invr0 mulr0.
rewrite ler_pdivr_mulr ?ltr0n ?lt0n //.
apply: le_trans (ler_sum _ (fun o _ => H o _ _)) _.
by rewrite sumr_const -(mulr_natr b).
Qed.

(* The same as a count, where it is fixed how many challenges are drawn, and from which sets. *)
Fixpoint draws_from (g : game) (As : seq {set C}) : Prop :=
  match g with
  | Verdict _ => As = [::]
  | Toss A next => if As is A' :: As' then A = A' /\ forall c, draws_from (next c) As' else False
  | Receive next => forall m, draws_from (next m) As
  end.

Fixpoint sequences (As : seq {set C}) : seq (seq C) :=
  if As is A :: As' then [seq c :: cs | c <- enum A, cs <- sequences As'] else [:: [::]].

Fixpoint accepts (adv : cheater) (seen : seq C) (g : game) (cs : seq C) : bool :=
  match g with
  | Verdict accepted => accepted
  | Toss A next => if cs is c :: cs' then accepts adv (rcons seen c) (next c) cs' else false
  | Receive next => accepts adv seen (next (adv seen)) cs
  end.

Theorem share_count adv seen g As : draws_from g As ->
  share adv seen g = (count (accepts adv seen g) (sequences As))%:R / (size (sequences As))%:R.
Proof.
elim: g seen As => [b|A next IH|next IH] seen As /=.
- by move=> -> /=; rewrite addn0 divr1.
- case: As => // _ As [<- shape] /=.
  have -> : count (accepts adv seen (Toss A next)) [seq c :: cs | c <- enum A, cs <- sequences As] =
      (\sum_(c in A) count (accepts adv (rcons seen c) (next c)) (sequences As))%N.
    rewrite count_flatten -map_comp sumnE big_map -big_enum; apply: eq_bigr => c _ /=.
    by rewrite count_map; apply: eq_count.
  rewrite size_allpairs -cardE natrM invfM (mulrC _^-1) mulrA natr_sum mulr_suml; congr (_ / _).
  by apply: eq_bigr => c _; apply: IH.
- by move=> shape; apply: IH.
Qed.

(* Whether there are messages with which every challenge is passed: what an honest party must be able to do. *)
Fixpoint passable (g : game) : Prop :=
  match g with
  | Verdict accepted => accepted
  | Toss A next => forall c, c \in A -> passable (next c)
  | Receive next => exists m, passable (next m)
  end.

Section Draws.

Variables (R : comUnitRingType) (chal : C -> R).
Hypothesis chalP : exceptional chal.

(* 1 / |S| *)
Definition eps : rat := #|C|%:R^-1.

Lemma eps_ge0 : 0 <= eps.
Proof. by rewrite invr_ge0 ler0n. Qed.

(* `draw` in security/active/mod.rs: n elements of S, one after the other. *)
Fixpoint draw (n : nat) (next : seq R -> game) : game :=
  if n is m.+1 then Toss setT (fun c => draw m (fun ts => next (chal c :: ts))) else next [::].

Lemma at_most_root (A : {set C}) next (p : {poly R}) (d : nat) (b : rat) :
  0 <= b -> p != 0 -> (size p <= d.+1)%N ->
  (forall c, c \in A -> p.[chal c] != 0 -> at_most (next c) b) -> at_most (Toss A next) (d%:R / #|A|%:R + b).
Proof.
move=> b0 p0 sp H; apply: (@at_most_toss A [set c in A | root p (chal c)]) => //.
- by apply/subsetP => c; rewrite inE => /andP [].
- exact: roots_at_most.
- by move=> c cA; rewrite inE cA /=; apply: H.
Qed.

Lemma at_most_root_all next (p : {poly R}) (d : nat) (b : rat) :
  0 <= b -> p != 0 -> (size p <= d.+1)%N ->
  (forall c, p.[chal c] != 0 -> at_most (next c) b) -> at_most (Toss setT next) (d%:R * eps + b).
Proof.
move=> b0 p0 sp H; rewrite /eps -cardsT; apply: (at_most_root b0 p0 sp) => c _; exact: H.
Qed.

Lemma at_most_draw n next (b : rat) :
  0 <= b -> (forall ts, size ts = n -> at_most (next ts) b) -> at_most (draw n next) b.
Proof.
move=> b0; elim: n next => [|n IHn] next H /=; first exact: H.
apply: at_most_toss_any => // c _; apply: IHn => ts sts; apply: H.
by rewrite /= sts.
Qed.

(* a + sum of t_i e_i, not all e_i zero, is zero at 1 / |S| of the points. *)
Lemma at_most_linear n (a : R) (e : nat -> R) next (b : rat) :
  0 <= b -> (exists2 i, (i < n)%N & e i != 0) ->
  (forall ts, size ts = n -> a + \sum_(i < n) nth 0 ts i * e i != 0 -> at_most (next ts) b) ->
  at_most (draw n next) (eps + b).
Proof.
move=> b0; elim: n a e next => [|n IHn] a e next [i] //= i_n ei H.
have [tail|] := boolP [exists j : 'I_n, e j.+1 != 0].
  apply: at_most_toss_any => [|c _]; first by rewrite addr_ge0 ?eps_ge0.
  apply: (IHn (a + chal c * e 0%N) (fun j => e j.+1)).
    by have [j ej] := existsP tail; exists j.
  move=> ts sts ne; apply: H; first by rewrite /= sts.
  by rewrite big_ord_recl /= addrA.
rewrite negb_exists => /forallP tail.
have tail0 j : (j < n)%N -> e j.+1 = 0.
  by move=> jn; have /negPn /eqP := tail (Ordinal jn).
have e0 : e 0%N != 0.
  by case: i i_n ei => // i i_n; rewrite tail0 ?eqxx.
rewrite -[eps]mul1r; apply: (@at_most_root_all _ (a%:P + e 0%N *: 'X) 1) => //.
- apply: contra e0 => /eqP /(congr1 (fun p : {poly R} => p`_1)).
  by rewrite coefD coefC coefZ coefX /= add0r mulr1 coef0 => ->.
- apply: leq_trans (size_add _ _) _; rewrite geq_max; apply/andP; split.
    by apply: leq_trans (size_polyC_leq1 _) _.
  by apply: leq_trans (size_scale_leq _ _) _; rewrite size_polyX.
move=> c ne; apply: at_most_draw => // ts sts; apply: H; first by rewrite /= sts.
rewrite big_ord_recl /= big1 ?addr0 => [|j _]; last by rewrite tail0 ?mulr0.
by move: ne; rewrite hornerD hornerC hornerZ hornerX mulrC.
Qed.

Lemma at_most_affine n (a : R) (e : nat -> R) next (b : rat) :
  0 <= b -> a != 0 \/ (exists2 i, (i < n)%N & e i != 0) ->
  (forall ts, size ts = n -> a + \sum_(i < n) nth 0 ts i * e i != 0 -> at_most (next ts) b) ->
  at_most (draw n next) (eps + b).
Proof.
move=> b0 ne H; have [/existsP [i ei]|] := boolP [exists i : 'I_n, e i != 0].
  by apply: (at_most_linear b0 _ H); exists i.
rewrite negb_exists => /forallP all0.
have e0 (i : 'I_n) : e i = 0 by have /negPn /eqP := all0 i.
have {ne} a0 : a != 0 by case: ne => // - [i i_n]; rewrite (e0 (Ordinal i_n)) eqxx.
apply: at_most_le (_ : at_most _ b) _; last by rewrite ler_addr eps_ge0.
apply: at_most_draw => // ts sts; apply: H => //.
by rewrite big1 ?addr0 // => i _; rewrite e0 mulr0.
Qed.

Lemma passable_draw n next : (forall ts, size ts = n -> passable (next ts)) -> passable (draw n next).
Proof.
elim: n next => [|n IHn] next H /=; first exact: H.
by move=> c _; apply: IHn => ts sts; apply: H; rewrite /= sts.
Qed.

End Draws.

End Game.
