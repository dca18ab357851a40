(* A[X] / f for a finite commutative ring A and a monic f: an element is a row of deg f coefficients.
   mpc-core/src/kernel/extension/galois.rs; docs/protocols.md, "The rings of the check". *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory Pdiv.CommonRing Pdiv.RingMonic.
Local Open Scope ring_scope.

Record modulus (A : ringType) := Modulus {
  poly_of_modulus :> {poly A};
  modulus_monic : poly_of_modulus \is monic;
  modulus_size : (1 < size poly_of_modulus)%N
}.

Definition degree (A : ringType) (f : modulus A) : nat := (size f).-1.

Definition quotient (A : finComRingType) (f : modulus A) := 'rV[A]_(degree f).

Section Quotient.

Variables (A : finComRingType) (f : modulus A).

Local Notation E := (quotient f).
Local Notation d := (degree f).

Canonical quotient_eqType := [eqType of E].
Canonical quotient_choiceType := [choiceType of E].
Canonical quotient_countType := [countType of E].
Canonical quotient_finType := [finType of E].
Canonical quotient_zmodType := [zmodType of E].
Canonical quotient_finZmodType := [finZmodType of E].

Let f_neq0 : poly_of_modulus f != 0.
Proof. exact: monic_neq0 (modulus_monic f). Qed.

Lemma size_modulus : size f = d.+1.
Proof. by rewrite /degree prednK // (ltn_trans _ (modulus_size f)). Qed.

(* The element that a polynomial stands for, and the polynomial of least degree that stands for an element. *)
Definition pi (p : {poly A}) : E := poly_rV (rmodp p f).
Definition repr (u : E) : {poly A} := rVpoly u.

Lemma repr_pi p : repr (pi p) = rmodp p f.
Proof. by apply: poly_rV_K; rewrite -ltnS -size_modulus ltn_rmodp. Qed.

Lemma size_repr u : (size (repr u) < size f)%N.
Proof. by rewrite size_modulus ltnS; apply: size_poly. Qed.

Lemma reprK u : pi (repr u) = u.
Proof. by rewrite /pi rmodp_small ?size_repr //; apply: rVpolyK. Qed.

Lemma pi_eq0 p : (pi p == 0) = rdvdp f p.
Proof.
rewrite /rdvdp -repr_pi; apply/eqP/eqP => [-> | ]; first exact: linear0.
by move=> r0; rewrite -[pi p]reprK r0 /pi rmodp_small ?size_poly0 ?size_modulus // linear0.
Qed.

Lemma piD : {morph pi : p q / p + q}.
Proof. by move=> p q; rewrite /pi rmodpD ?modulus_monic // linearD. Qed.

Lemma piN : {morph pi : p / - p}.
Proof.
move=> p; apply/eqP; rewrite -addr_eq0 -piD addNr.
by rewrite pi_eq0 /rdvdp rmod0p.
Qed.

Definition one : E := pi 1.
Definition mul (u v : E) : E := pi (repr u * repr v).

Lemma piM p q : pi (p * q) = mul (pi p) (pi q).
Proof.
rewrite /mul !repr_pi /pi; congr poly_rV.
rewrite rmodp_mulmr ?modulus_monic // [rmodp p f * q]mulrC rmodp_mulmr ?modulus_monic //.
by rewrite mulrC.
Qed.

Lemma mulA : associative mul.
Proof. by move=> u v w; rewrite -[u]reprK -[v]reprK -[w]reprK -!piM mulrA. Qed.

Lemma mulC : commutative mul.
Proof. by move=> u v; rewrite /mul mulrC. Qed.

Lemma mul1 : left_id one mul.
Proof. by move=> u; rewrite -[u]reprK -piM mul1r. Qed.

Lemma mulDl : left_distributive mul +%R.
Proof.
by move=> u v w; rewrite -[u]reprK -[v]reprK -[w]reprK -piD -!piM -piD mulrDl.
Qed.

Lemma one_neq0 : one != 0.
Proof.
rewrite pi_eq0 /rdvdp rmodp_small ?oner_eq0 // size_poly1; exact: modulus_size.
Qed.

Definition quotient_ringMixin := ComRingMixin mulA mulC mul1 mulDl one_neq0.
Canonical quotient_ringType := Eval hnf in RingType E quotient_ringMixin.
Canonical quotient_comRingType := Eval hnf in ComRingType E mulC.
Canonical quotient_finRingType := Eval hnf in [finRingType of E].
Canonical quotient_finComRingType := Eval hnf in [finComRingType of E].
Canonical quotient_unitRingType := Eval hnf in UnitRingType E (FinRing.Ring.UnitMixin quotient_finRingType).
Canonical quotient_comUnitRingType := Eval hnf in [comUnitRingType of E].
Canonical quotient_finUnitRingType := Eval hnf in [finUnitRingType of E].
Canonical quotient_finComUnitRingType := Eval hnf in [finComUnitRingType of E].

Lemma pi_is_rmorphism : rmorphism pi.
Proof. by split; [move=> p q; rewrite piD piN | split=> // p q; apply: piM]. Qed.
Canonical pi_additive := Additive pi_is_rmorphism.
Canonical pi_rmorphism := RMorphism pi_is_rmorphism.

Lemma pi_modulus : pi f = 0.
Proof. by apply/eqP; rewrite pi_eq0 /rdvdp rmodpp ?modulus_monic. Qed.

Lemma pi_inj_small (p q : {poly A}) : (size p < size f)%N -> (size q < size f)%N -> pi p = pi q -> p = q.
Proof. by move=> sp sq e; have := congr1 repr e; rewrite !repr_pi !rmodp_small. Qed.

(* The base ring in it. *)
Definition base (x : A) : E := pi x%:P.

Lemma base_is_rmorphism : rmorphism base.
Proof.
by split; [move=> x y; rewrite /base polyCB rmorphB | split=> [x y|]; rewrite /base ?polyCM ?rmorphM].
Qed.
Canonical base_additive := Additive base_is_rmorphism.
Canonical base_rmorphism := RMorphism base_is_rmorphism.

Lemma base_inj : injective base.
Proof.
move=> x y /pi_inj_small e; apply: polyC_inj; apply: e.
  by apply: leq_ltn_trans (size_polyC_leq1 _) (modulus_size f).
by apply: leq_ltn_trans (size_polyC_leq1 _) (modulus_size f).
Qed.

(* X^0 .. X^(d-1) are a basis: where sum_b e_b X^b vanishes, so do all e_b. *)
Lemma powers_independent (e : nat -> A) :
  \sum_(b < d) pi 'X^b * base (e b) = 0 -> forall b, (b < d)%N -> e b = 0.
Proof.
have -> : \sum_(b < d) pi 'X^b * base (e b) = pi (\poly_(b < d) e b).
  rewrite poly_def rmorph_sum; apply: eq_bigr => b _ /=.
  by rewrite -mul_polyC rmorphM mulrC.
rewrite -(rmorph0 pi_rmorphism) => /pi_inj_small e0 b b_d.
have /(congr1 (fun p : {poly A} => p`_b)) : \poly_(b < d) e b = 0.
  by apply: e0; rewrite ?size_poly0 size_modulus // ltnS size_poly.
by rewrite coef_poly b_d coef0.
Qed.

Lemma card_quotient : #|{: E}| = (#|A| ^ d)%N.
Proof. by rewrite card_mx mul1n. Qed.

End Quotient.
