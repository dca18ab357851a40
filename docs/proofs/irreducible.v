(* The polynomials of mpc-core/src/kernel/extension/{galois,field}.rs are irreducible modulo 2: Rabin's product of all X^(2^i) - X
   has an inverse modulo each. Both are computed, with binary numbers for polynomials over GF(2). *)

From Coq Require Import NArith.
From mathcomp Require Import all_ssreflect all_algebra.
From Check Require Import rabin.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory.
Local Open Scope ring_scope.

(** Computing with binary numbers *)

(* Bit i is the coefficient of X^i. *)
Fixpoint of_pos (a : positive) : {poly 'F_2} :=
  match a with xH => 1 | xO a' => of_pos a' * 'X | xI a' => of_pos a' * 'X + 1 end.
Definition of_N (a : N) : {poly 'F_2} := if a is Npos a' then of_pos a' else 0.

Lemma addpp (p : {poly 'F_2}) : p + p = 0.
Proof. by rewrite -mulr2n -scaler_nat (char_Fp_0 (isT : prime 2)) scale0r. Qed.

Lemma of_N_double a : of_N (N.double a) = of_N a * 'X.
Proof. by case: a => //=; rewrite mul0r. Qed.

Lemma of_N_xor a b : of_N (N.lxor a b) = of_N a + of_N b.
Proof.
case: a b => [|a] [|b]; rewrite /= ?add0r ?addr0 //.
have double (n : N) : of_N (Pos.Ndouble n) = of_N n * 'X by case: n => //=; rewrite mul0r.
have succ_double (n : N) : of_N (Pos.Nsucc_double n) = of_N n * 'X + 1 by case: n => //=; rewrite mul0r add0r.
elim: a b => [a IH|a IH|] [b|b|] /=.
- by rewrite double IH addrACA addpp addr0 mulrDl.
- by rewrite succ_double IH mulrDl addrAC.
- by rewrite -addrA addpp addr0.
- by rewrite succ_double IH mulrDl addrA.
- by rewrite double IH mulrDl.
- by [].
- by rewrite addrC -addrA addpp addr0.
- by rewrite addrC.
- by rewrite addpp.
Qed.

Section Modulo.

Variables (d : N) (f : N).

(* a X, and a b, brought below degree d where it can be. *)
Definition shift (a : N) : N := let s := N.double a in if N.testbit s d then N.lxor s f else s.

Fixpoint mul_pos (a : positive) (b : N) : N :=
  match a with xH => b | xO a' => shift (mul_pos a' b) | xI a' => N.lxor (shift (mul_pos a' b)) b end.
Definition mul_N (a b : N) : N := if a is Npos a' then mul_pos a' b else N0.

(* X^(2^i) for i = 1 .. m, one after the other, and the product of all X^(2^i) - X. *)
Fixpoint products (m : nat) : N * N :=
  if m is m'.+1 then
    let (s, product) := products m' in let s' := mul_N s s in (s', mul_N product (N.lxor s' (Npos (xO xH))))
  else (Npos (xO xH), Npos xH).

(* a^(2 + 4 + .. + 2^n) : the inverse of a in a field of 2^(n + 1) elements. *)
Fixpoint powers (a : N) (n : nat) : N * N :=
  if n is n'.+1 then let (s, product) := powers a n' in let s' := mul_N s s in (s', mul_N product s') else (a, Npos xH).

(* That it is an inverse is seen by multiplying. *)
Definition test (m n : nat) : bool :=
  let a := (products m).2 in N.eqb (mul_N a (powers a n).2) (Npos xH).

Definition same (a : N) (p : {poly 'F_2}) := of_N f %| of_N a - p.

Lemma same_refl a : same a (of_N a).
Proof. by rewrite /same subrr dvdp0. Qed.

Lemma same_xor a b p q : same a p -> same b q -> same (N.lxor a b) (p + q).
Proof. by rewrite /same of_N_xor opprD addrACA => ap bq; apply: dvdp_add. Qed.

Lemma same_shift a p : same a p -> same (shift a) (p * 'X).
Proof.
rewrite /same /shift => ap; have ax : of_N f %| of_N (N.double a) - p * 'X.
  by rewrite of_N_double -mulrBl dvdp_mulr.
by case: ifP => // _; rewrite of_N_xor addrAC dvdp_add.
Qed.

Lemma same_mul a b p q : same a p -> same b q -> same (mul_N a b) (p * q).
Proof.
move=> ap bq; have pos a' : same (mul_pos a' b) (of_pos a' * q).
  elim: a' => [a' IH|a' IH|] /=; last by rewrite mul1r.
    by rewrite mulrDl mul1r mulrAC; apply: same_xor => //; apply: same_shift.
  by rewrite mulrAC; apply: same_shift.
suff aq : same (mul_N a b) (of_N a * q).
  have -> : p * q = of_N a * q - (of_N a - p) * q by rewrite mulrBl subKr.
  by rewrite /same opprB addrA addrAC; apply: dvdp_add => //; apply: dvdp_mulr.
by case: a {ap} => [|a] /=; [rewrite /same mul0r subrr dvdp0 | apply: pos].
Qed.

Lemma same_products m : same (products m).1 ('X^(2 ^ m)) /\ same (products m).2 (fermat_product m).
Proof.
rewrite /fermat_product; elim: m => [|m [ss sp]].
  by rewrite big_geq //= expn0 expr1; split; [rewrite -['X]mul1r; apply: same_refl | apply: same_refl].
rewrite /= big_nat_recr //; move: ss sp; case: (products m) => s product /= ss sp.
have sq : same (mul_N s s) 'X^(2 ^ m.+1) by rewrite expnS mul2n -addnn exprD; apply: same_mul.
split=> //; apply: same_mul => //; apply: same_xor => //.
rewrite (_ : - 'X = of_N (Npos (xO xH))); first exact: same_refl.
by rewrite /= mul1r; apply/eqP; rewrite eq_sym -subr_eq0 opprK addpp.
Qed.

Theorem test_coprime m n : test m n -> coprimep (of_N f) (fermat_product m).
Proof.
rewrite /test; set a := (products m).2; set b := (powers a n).2 => /N.eqb_eq ab.
have : same (mul_N a b) (fermat_product m * of_N b) by apply: same_mul (same_refl _); apply: (same_products m).2.
rewrite ab /same => div; apply/coprimepP => w wf wp.
have w1 : w %| (1 : {poly 'F_2}).
  have -> : (1 : {poly 'F_2}) = (1 - fermat_product m * of_N b) + fermat_product m * of_N b by rewrite subrK.
  by apply: dvdp_add; [apply: dvdp_trans wf div | apply: dvdp_mulr].
by rewrite -size_poly_eq1 -dvdp1.
Qed.

End Modulo.

(** The polynomials of the code *)

(* X^d + sum of X^t, as in `Galois::TAIL`. *)
Definition sparse {A : ringType} (d : nat) (tail : seq nat) : {poly A} := 'X^d + \sum_(t <- tail) 'X^t.

Definition power_N (t : nat) : N := iter t N.double (Npos xH).
Definition sparse_N (d : nat) (tail : seq nat) : N := foldr (fun t s => N.lxor (power_N t) s) N0 (d :: tail).

Lemma of_N_power t : of_N (power_N t) = 'X^t.
Proof. by elim: t => [|t IH]; rewrite ?expr0 //= of_N_double -/(power_N t) IH exprSr. Qed.

Lemma of_N_sparse d tail : of_N (sparse_N d tail) = sparse d tail.
Proof.
rewrite /sparse_N /sparse /= of_N_xor of_N_power; congr (_ + _).
elim: tail => [|t tail IH] /=; first by rewrite big_nil.
by rewrite big_cons of_N_xor of_N_power IH.
Qed.

Section Sparse.

Variables (A : ringType) (d : nat) (tail : seq nat).
Hypothesis tail_small : all (fun t => t < d)%N tail.

Lemma size_tail : (size (\sum_(t <- tail) 'X^t : {poly A})%R <= d)%N.
Proof.
elim: tail tail_small => [|t s IH] /=; first by rewrite big_nil size_poly0.
case/andP => t_d s_d; rewrite big_cons; apply: leq_trans (size_add _ _) _.
by rewrite geq_max size_polyXn t_d IH.
Qed.

Lemma size_sparse : size (sparse d tail : {poly A}) = d.+1.
Proof. by rewrite size_addl size_polyXn // ltnS size_tail. Qed.

Lemma sparse_monic : (sparse d tail : {poly A}) \is monic.
Proof. by rewrite monicE lead_coefDl ?lead_coefXn // size_polyXn ltnS size_tail. Qed.

End Sparse.

Lemma map_sparse (A B : ringType) (h : {rmorphism A -> B}) d tail : map_poly h (sparse d tail) = sparse d tail.
Proof.
by rewrite rmorphD rmorph_sum /= map_polyXn; congr (_ + _); apply: eq_bigr => t _; rewrite map_polyXn.
Qed.

Definition tail4 := [:: 0; 1]%N.
Definition tail48 := [:: 0; 2; 3; 5]%N.
Definition tail64 := [:: 0; 1; 3; 4]%N.

Lemma irreducible_by_test d tail m n : all (fun t => t < d)%N tail -> (0 < d <= m.*2.+1)%N ->
  test (N.of_nat d) (sparse_N d tail) m n -> irreducible_poly (sparse d tail : {poly 'F_2}).
Proof.
move=> small /andP [d0 dm] passed.
apply: (rabin (m := m)); rewrite ?size_sparse //.
by rewrite -of_N_sparse; apply: test_coprime passed.
Qed.

Theorem irreducible4 : irreducible_poly (sparse 4 tail4 : {poly 'F_2}).
Proof. by apply: (@irreducible_by_test _ _ 2 3); vm_compute. Qed.

Theorem irreducible48 : irreducible_poly (sparse 48 tail48 : {poly 'F_2}).
Proof. by apply: (@irreducible_by_test _ _ 24 47); vm_compute. Qed.

Theorem irreducible64 : irreducible_poly (sparse 64 tail64 : {poly 'F_2}).
Proof. by apply: (@irreducible_by_test _ _ 32 63); vm_compute. Qed.
