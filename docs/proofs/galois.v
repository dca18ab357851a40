(* Which elements of A[X] / f are units, and the challenge set of the code.
   mpc-core/src/kernel/extension/galois.rs, `challenges`; docs/protocols.md, "The rings of the check". *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From Check Require Import exceptional quotient.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory Pdiv.CommonRing Pdiv.RingMonic.
Local Open Scope ring_scope.

(* A ring that is a field F but for multiples of a nilpotent element. *)
Section Units.

Variables (A : finComRingType) (F : fieldType) (red : {rmorphism A -> F}) (lift : F -> A) (nil : A) (part : A -> A) (k : nat).
Hypothesis liftK : forall y, red (lift y) = y.
Hypothesis lift0 : lift 0 = 0.
Hypothesis partP : forall x, red x = 0 -> x = nil * part x.
Hypothesis nilP : nil ^+ k = 0.

Variable f : modulus A.
Hypothesis f_irreducible : irreducible_poly (map_poly red f).

Lemma size_reduced : size (map_poly red f) = size f.
Proof. by apply: size_map_poly_id0; rewrite (monicP (modulus_monic f)) rmorph1 oner_neq0. Qed.

(* What is not zero in the field is a unit. *)
Theorem quotient_unit (u : quotient f) : map_poly red (repr u) != 0 -> u \is a GRing.unit.
Proof.
move=> u0; set v := map_poly red (repr u) in u0.
have /Bezout_coprimepP [[a b] /= ab] : coprimep v (map_poly red f).
  apply: contraT => ncop.
  have /eqp_dvdl div : gcdp v (map_poly red f) %= map_poly red f by apply: f_irreducible.2 ncop (dvdp_gcdr _ _).
  have := dvdp_leq u0 (eq_ind _ is_true (dvdp_gcdl v (map_poly red f)) _ (div v)).
  rewrite size_reduced leqNgt (leq_ltn_trans (size_poly _ _)) //; exact: size_repr.
have /size_poly1P [e e0 eE] : size (a * v + b * map_poly red f) == 1%N by rewrite size_poly_eq1.
pose up (p : {poly F}) := map_poly lift (e^-1 *: p).
have upK p : map_poly red (up p) = e^-1 *: p.
  by apply/polyP => i; rewrite coef_map /= coef_map_id0 // liftK.
pose p := up a * repr u + up b * f - 1.
have p0 : map_poly red p = 0.
  by rewrite rmorphB rmorphD !rmorphM rmorph1 /= !upK -/v -!scalerAl -scalerDr eE -mul_polyC -polyCM mulVf // subrr.
have pE : p = nil *: \poly_(i < size p) part p`_i.
  apply/polyP => i; rewrite coefZ coef_poly; case: ltnP => [_|le].
    by apply: partP; rewrite -coef_map /= p0 coef0.
  by rewrite mulr0 nth_default.
pose n : quotient f := base f nil * pi f (\poly_(i < size p) part p`_i).
have nE : pi f (up a) * u = 1 + n.
  have := congr1 (pi f) pE; rewrite /p !(rmorphB, rmorphD, rmorphM, rmorph1) /= pi_modulus mulr0 addr0 reprK.
  by rewrite -mul_polyC rmorphM => /(canRL (subrK _)) ->; rewrite addrC.
have nk : n ^+ k = 0 by rewrite /n exprMn -(rmorphX (base_rmorphism f)) nilP rmorph0 mul0r.
have k0 : (0 < k)%N.
  by case: k nk nilP => // _ /eqP; rewrite expr0 oner_eq0.
apply/unitrPr; exists (pi f (up a) * \sum_(i < k) (- n) ^+ i).
rewrite mulrA [u * _]mulrC nE.
have := subrX1 (- n) k; rewrite exprNn nk mulr0 sub0r => /eqP.
by rewrite -opprD mulNr eqr_opp addrC => /eqP <-.
Qed.

End Units.

(* Challenges: polynomials with coefficients 0 and 1. *)
Section Challenges.

Variables (A : finComRingType) (f : modulus A).

Definition challenge := {ffun 'I_(degree f) -> bool}.

Definition chal (c : challenge) : quotient f := \row_i (c i)%:R.

Lemma card_challenge : #|{: challenge}| = (2 ^ degree f)%N.
Proof. by rewrite card_ffun card_bool card_ord. Qed.

Lemma repr_chal c (i : 'I_(degree f)) : (repr (chal c))`_i = (c i)%:R.
Proof. by rewrite coef_rVpoly_ord mxE. Qed.

Lemma chal0 : chal [ffun => false] = 0.
Proof. by apply/rowP => i; rewrite !mxE ffunE. Qed.

End Challenges.

(* Z_2^k *)
Section Powers_of_two.

Variable k : nat.
Hypothesis k0 : (0 < k)%N.

Local Notation Z := 'Z_(2 ^ k).

Let two_k : (1 < 2 ^ k)%N.
Proof. by rewrite -(expn0 2) ltn_exp2l. Qed.

Definition red (x : Z) : 'F_2 := (x : nat)%:R.
Definition lift (y : 'F_2) : Z := (y : nat)%:R.
Definition half (x : Z) : Z := ((x : nat)./2)%:R.

Lemma red_nat n : red n%:R = n%:R.
Proof.
rewrite /red val_Zp_nat // [in RHS](divn_eq n (2 ^ k)) natrD natrM.
have -> : (2 ^ k)%:R = 0 :> 'F_2 by rewrite natrX -(prednK k0) exprS (char_Fp_0 (isT : prime 2)) mul0r.
by rewrite mulr0 add0r.
Qed.

Lemma natZ (x : Z) : x = (x : nat)%:R.
Proof. by rewrite natr_Zp. Qed.

Lemma redD : {morph red : x y / x + y}.
Proof. by move=> x y; rewrite (natZ x) (natZ y) -natrD !red_nat natrD. Qed.

Lemma red_is_rmorphism : rmorphism red.
Proof.
have red0 : red 0 = 0 by rewrite (red_nat 0).
have redN x : red (- x) = - red x by apply/eqP; rewrite -addr_eq0 -redD addNr red0.
split; first by move=> x y; rewrite redD redN.
split=> [x y|]; last by rewrite (red_nat 1).
by rewrite (natZ x) (natZ y) -natrM !red_nat natrM.
Qed.
Canonical red_additive := Additive red_is_rmorphism.
Canonical red_rmorphism := RMorphism red_is_rmorphism.

Lemma red_lift y : red (lift y) = y.
Proof. by rewrite /lift red_nat natr_Zp. Qed.

Lemma lift_zero : lift 0 = 0.
Proof. by []. Qed.

Lemma red_half x : red x = 0 -> x = 2%:R * half x.
Proof.
move=> x0; rewrite [LHS]natZ -natrM mul2n -[in LHS](odd_double_half x).
have := congr1 (fun y : 'F_2 => y : nat) x0; rewrite /red val_Fp_nat //= modn2.
by case: odd.
Qed.

Lemma nilpotent_two : (2%:R : Z) ^+ k = 0.
Proof. by rewrite -natrX char_Zp. Qed.

Variable f : modulus [finComRingType of Z].
Hypothesis f_irreducible : irreducible_poly (map_poly red f).

(* The document: "The difference of two elements of S is not zero modulo 2, so it is a unit modulo 2, hence a unit." *)
Theorem chal_exceptional : exceptional (@chal _ f).
Proof.
move=> c c' cc'; apply: (quotient_unit red_lift lift_zero red_half nilpotent_two f_irreducible).
have [i neq] : exists i, c i != c' i.
  by apply/existsP; apply: contraT => /existsPn same; case/negP: cc'; apply/eqP/ffunP => i; apply/eqP/negPn/same.
apply/eqP => /(congr1 (fun p : {poly 'F_2} => p`_i)); rewrite coef0 coef_map /=.
rewrite [repr _]linearB /= coefB !repr_chal rmorphB !rmorph_nat /=.
by move: neq; case: (c i); case: (c' i) => //= _; rewrite ?subr0 ?sub0r => /eqP; rewrite ?oppr_eq0 oner_eq0.
Qed.

End Powers_of_two.
