(* The check of products, with the rings, challenges and constants of the code: how often a batch with a false claim is accepted.
   docs/protocols.md, "Soundness"; mpc-core/src/security/active/mod.rs, `Standard` and `Strict`. *)

From mathcomp Require Import all_ssreflect all_algebra.
From Check Require Import exceptional game table claims compression rounds batch quotient galois rabin irreducible.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(** The rings *)

Section Ring.

(* Z_2^k[X] / f, f = X^d + sum of X^t over the tail. *)
Variables (k d : nat) (tail : seq nat).
Hypothesis k0 : (0 < k)%N.
Hypothesis d0 : (0 < d)%N.
Hypothesis tail_small : all (fun t => t < d)%N tail.
Hypothesis irreducible : irreducible_poly (sparse d tail : {poly 'F_2}).

Definition Z : finComRingType := [finComRingType of 'Z_(2 ^ k)].

Lemma f_monic : (sparse d tail : {poly Z}) \is monic.
Proof. exact: sparse_monic. Qed.

Lemma f_size : (1 < size (sparse d tail : {poly Z})%R)%N.
Proof. by rewrite size_sparse. Qed.

Definition f : modulus Z := Modulus f_monic f_size.

Lemma degree_f : degree f = d.
Proof. by rewrite /degree size_sparse. Qed.

Lemma f_exceptional : exceptional (@chal Z f).
Proof.
by apply: (chal_exceptional k0); have := map_sparse (red_rmorphism k0) d tail; rewrite /= => ->.
Qed.

Lemma card_f : #|{: challenge f}| = (2 ^ d)%N.
Proof. by rewrite card_challenge degree_f. Qed.

(* All challenges but one are not 0. *)
Lemma card_nonzero : #|nonzero (@chal Z f)| = (2 ^ d - 1)%N.
Proof.
rewrite /nonzero -card_f subn1 -(cardsC1 ([ffun => false] : challenge f)); apply: eq_card => c.
rewrite !inE -(chal0 f); congr (~~ _); apply/eqP/eqP => [|-> //]; exact: (chal_inj f_exceptional).
Qed.

(* The stated bound: most variables of tables of base values, j moments of joining, vectors of n elements. *)
Definition bound (d most j n : nat) : rat :=
  (2 + 2 * most + j + 2 * up_log 2 n)%:R / (2 ^ d)%:R + 2%:R / (2 ^ d - 1)%:R.

(* `InnerProduct::levels` *)
Definition levels_of (words : nat) (n : nat) : nat :=
  minn (if (512 < n) && (1 < words) then 2 else 3)%N (up_log 2 n).

Lemma levels_ofP words n : (1 < n)%N -> (0 < levels_of words n <= up_log 2 n)%N.
Proof. by move=> n1; rewrite /levels_of leq_min up_log_gt0 n1 geq_minr andbT; case: ifP. Qed.

Section Sound.

Variables (words L : nat) (beta : nat -> quotient f).
Hypothesis betaP : forall e : nat -> Z, \sum_(b < L) beta b * base f (e b) = 0 -> forall b, (b < L)%N -> e b = 0.

Definition check_ring := check (@chal Z f) (levels_of words) (base_rmorphism f) L beta.

Theorem sound_ring l1 l2 e ts : (l1 + l2 <= 6)%N -> Forall (proper 6) ts -> (0 < total_length L l1 l2 e ts)%N ->
  ~~ (true_elementwise L e && all (@true_product Z) ts) ->
  forall adv seen, share adv seen (check_ring l1 l2 e ts) <= bound d 6 (joins l2 e ts) (total_length L l1 l2 e ts).
Proof.
move=> l6 prop n0 bad adv seen.
have := at_most_check f_exceptional (levels_ofP words) betaP (@base_inj Z f) l6 prop n0 bad adv seen.
by rewrite /bound /eps /last card_f card_nonzero.
Qed.

End Sound.

End Ring.

(** What the bound amounts to *)

Lemma two_over (q : nat) : (3 <= q)%N -> 2%:R / (q - 1)%:R <= 3%:R / q%:R :> rat.
Proof.
move=> q3; have q1 : (0 < q - 1)%N by rewrite subn_gt0 (ltn_trans _ q3).
rewrite ler_pdivr_mulr ?ltr0n // mulrAC ler_pdivl_mulr ?ltr0n ?(leq_trans _ q3) //.
rewrite -!natrM ler_nat mulnBr muln1 leq_subRL ?(mulSn 2) ?leq_add2r //.
by apply: leq_trans q3 (leq_addr _ _).
Qed.

Lemma bound_le d most j n m : (1 < d)%N -> (n <= 2 ^ m)%N -> bound d most j n <= (5 + 2 * most + j + 2 * m)%:R / (2 ^ d)%:R.
Proof.
move=> d1 n_m; have q3 : (3 <= 2 ^ d)%N by apply: (@leq_trans (2 ^ 2)); rewrite ?leq_exp2l.
apply: le_trans (ler_add (lexx _) (two_over q3)) _.
rewrite -mulrDl -natrD; apply: ler_wpmul2r; first by rewrite invr_ge0 ler0n.
have -> : (5 + 2 * most + j + 2 * m = 2 + 2 * most + j + 2 * m + 3)%N by rewrite [RHS]addnC !addnA.
by rewrite ler_nat leq_add2r leq_add2l leq_mul2l /=; apply: up_log_min.
Qed.

(** The claims of the code *)

Section Instances.

(* A value of Z_2^k is an element; a word of 64 bits is an element of GF(2^64), bit b standing for X^b. *)
Section Galois_ring.
Variables (k d : nat) (tail : seq nat).
Hypothesis k0 : (0 < k)%N.
Hypothesis d0 : (0 < d)%N.
Hypothesis small : all (fun t => t < d)%N tail.
Let F := f k d0 small.
Let one (_ : nat) : quotient F := 1.

Lemma one_independent (e : nat -> Z k) :
  \sum_(b < 1) one b * base F (e b) = 0 -> forall b, (b < 1)%N -> e b = 0.
Proof.
rewrite big_ord1 mul1r -(rmorph0 (base_rmorphism F)) => /base_inj e0 [] //.
Qed.

(* `check::<P>` for P::Narrow and P::Wide: the part of the batch over one ring. *)
Definition galois_check := @check_ring k d tail d0 small d 1 one.

(* `check::<P>` for P::Bits, k = 1. *)
Definition bits_check := @check_ring k d tail d0 small 1 d (fun b => pi F 'X^b).

Hypothesis irreducible : irreducible_poly (sparse d tail : {poly 'F_2}).

Theorem galois_sound l1 l2 e ts : (l1 + l2 <= 6)%N -> Forall (proper 6) ts -> (0 < total_length 1 l1 l2 e ts)%N ->
  ~~ (true_elementwise 1 e && all (@true_product (Z k)) ts) ->
  forall adv seen, share adv seen (galois_check l1 l2 e ts) <= bound d 6 (joins l2 e ts) (total_length 1 l1 l2 e ts).
Proof. exact: (sound_ring k0 irreducible d one_independent). Qed.

Theorem bits_sound l1 l2 e : (l1 + l2 <= 6)%N -> (0 < total_length d l1 l2 e [::])%N -> ~~ true_elementwise d e ->
  forall adv seen, share adv seen (bits_check l1 l2 e [::]) <= bound d 6 (joins l2 e [::]) (total_length d l1 l2 e [::]).
Proof.
move=> l6 n0 bad; apply: (sound_ring k0 irreducible 1 _) => //; last by rewrite andbT.
move=> v; have := @powers_independent _ F v; rewrite degree_f; exact.
Qed.

End Galois_ring.

(* j is at most 2, and 1 where all claims are elementwise. *)
Lemma joins_le2 (B : comRingType) l2 (e : elementwise B) ts : (joins l2 e ts <= 2)%N.
Proof. by rewrite /joins; case: has; case: has. Qed.

Lemma joins_elementwise (B : comRingType) l2 (e : elementwise B) : (joins l2 e [::] <= 1)%N.
Proof. by rewrite /joins; case: (_ == _); rewrite //= !orbF; case: eqP. Qed.

Lemma bound_figure d most j j' n m : (1 < d)%N -> (n <= 2 ^ m)%N -> (j <= j')%N ->
  bound d most j n <= (5 + 2 * most + j' + 2 * m)%:R / (2 ^ d)%:R.
Proof.
move=> d1 n_m jj'; apply: le_trans (bound_le most j d1 n_m) _.
apply: ler_wpmul2r; first by rewrite invr_ge0 ler0n.
by rewrite ler_nat leq_add2r leq_add2l.
Qed.

Lemma power_figure a b c : (c <= 2 ^ a)%N -> c%:R / (2 ^ (a + b))%:R <= (2 ^ b)%:R^-1 :> rat.
Proof.
move=> ca; have p n : (0 : rat) < (2 ^ n)%:R by rewrite ltr0n expn_gt0.
rewrite expnD natrM invfM mulrA -[X in _ <= X]mul1r; apply: ler_wpmul2r; first by rewrite invr_ge0 ltW.
by rewrite ler_pdivr_mulr // mul1r ler_nat.
Qed.

(* `Standard`: X^48 + X^5 + X^3 + X^2 + 1 for products, and `Strict`: X^64 + X^4 + X^3 + X + 1 for all. *)
Definition check_standard k := @galois_check k 48 tail48 isT isT.
Definition check_strict k := @galois_check k 64 tail64 isT isT.
Definition check_bits := @bits_check 1 64 tail64 isT isT.

(* A batch of which something is false: claims modulo 2^k, elementwise and matrix products. *)
Definition false_batch k l1 l2 (e : elementwise (Z k)) ts :=
  [/\ (l1 + l2 <= 6)%N, Forall (proper 6) ts, (0 < total_length 1 l1 l2 e ts)%N &
      ~~ (true_elementwise 1 e && all (@true_product (Z k)) ts)].

(* Products modulo 2^64 (k = 64), vectors of at most 2^m elements. *)
Theorem standard_products k l1 l2 e ts m : (0 < k)%N -> false_batch l1 l2 e ts -> (total_length 1 l1 l2 e ts <= 2 ^ m)%N ->
  forall adv seen, share adv seen (check_standard (k := k) l1 l2 e ts) <= (19 + 2 * m)%:R / (2 ^ 48)%:R.
Proof.
move=> k0 [l6 prop n0 bad] n_m adv seen; apply: le_trans (galois_sound k0 irreducible48 l6 prop n0 bad adv seen) _.
exact: (bound_figure 6 (isT : 1 < 48)%N n_m (joins_le2 l2 e ts)).
Qed.

Theorem strict_products k l1 l2 e ts m : (0 < k)%N -> false_batch l1 l2 e ts -> (total_length 1 l1 l2 e ts <= 2 ^ m)%N ->
  forall adv seen, share adv seen (check_strict (k := k) l1 l2 e ts) <= (19 + 2 * m)%:R / (2 ^ 64)%:R.
Proof.
move=> k0 [l6 prop n0 bad] n_m adv seen; apply: le_trans (galois_sound k0 irreducible64 l6 prop n0 bad adv seen) _.
exact: (bound_figure 6 (isT : 1 < 64)%N n_m (joins_le2 l2 e ts)).
Qed.

(* Elementwise products alone, as those modulo 2^32 and less (k = 16 and k = 32). *)
Theorem standard_narrow k l1 l2 e m : (0 < k)%N -> false_batch l1 l2 e [::] -> (total_length 1 l1 l2 e [::] <= 2 ^ m)%N ->
  forall adv seen, share adv seen (check_standard (k := k) l1 l2 e [::]) <= (18 + 2 * m)%:R / (2 ^ 48)%:R.
Proof.
move=> k0 [l6 prop n0 bad] n_m adv seen; apply: le_trans (galois_sound k0 irreducible48 l6 prop n0 bad adv seen) _.
exact: (bound_figure 6 (isT : 1 < 48)%N n_m (joins_elementwise l2 e)).
Qed.

Theorem strict_narrow k l1 l2 e m : (0 < k)%N -> false_batch l1 l2 e [::] -> (total_length 1 l1 l2 e [::] <= 2 ^ m)%N ->
  forall adv seen, share adv seen (check_strict (k := k) l1 l2 e [::]) <= (18 + 2 * m)%:R / (2 ^ 64)%:R.
Proof.
move=> k0 [l6 prop n0 bad] n_m adv seen; apply: le_trans (galois_sound k0 irreducible64 l6 prop n0 bad adv seen) _.
exact: (bound_figure 6 (isT : 1 < 64)%N n_m (joins_elementwise l2 e)).
Qed.

(* Words of 64 ands. *)
Theorem ands l1 l2 e m : (l1 + l2 <= 6)%N -> (0 < total_length 64 l1 l2 e [::] <= 2 ^ m)%N -> ~~ true_elementwise 64 e ->
  forall adv seen, share adv seen (check_bits l1 l2 e [::]) <= (18 + 2 * m)%:R / (2 ^ 64)%:R.
Proof.
move=> l6 /andP [n0 n_m] bad adv seen; apply: le_trans (bits_sound (isT : 0 < 1)%N irreducible64 l6 n0 bad adv seen) _.
exact: (bound_figure 6 (isT : 1 < 64)%N n_m (joins_elementwise l2 e)).
Qed.

(* The promise of `Standard` and `Strict`: 2^-41 and 2^-57, for vectors of up to 2^54 elements. *)
Corollary standard_promise k l1 l2 e ts : (0 < k)%N -> false_batch l1 l2 e ts -> (total_length 1 l1 l2 e ts <= 2 ^ 54)%N ->
  forall adv seen, share adv seen (check_standard (k := k) l1 l2 e ts) <= (2 ^ 41)%:R^-1.
Proof.
move=> k0 bad n_m adv seen; apply: le_trans (standard_products k0 bad n_m adv seen) _.
exact: (@power_figure 7 41 127).
Qed.

Corollary strict_promise k l1 l2 e ts : (0 < k)%N -> false_batch l1 l2 e ts -> (total_length 1 l1 l2 e ts <= 2 ^ 54)%N ->
  forall adv seen, share adv seen (check_strict (k := k) l1 l2 e ts) <= (2 ^ 57)%:R^-1.
Proof.
move=> k0 bad n_m adv seen; apply: le_trans (strict_products k0 bad n_m adv seen) _.
exact: (@power_figure 7 57 127).
Qed.

End Instances.

(* A claim modulo 2^w says the same as its 2^s fold modulo 2^(s + w): `Elementwise::push`. *)
Theorem shifted_claim s w x y z : (2 ^ s * x * y == 2 ^ s * z %[mod 2 ^ (s + w)])%N = (x * y == z %[mod 2 ^ w])%N.
Proof. by rewrite expnD -mulnA -!muln_modr eqn_pmul2l ?expn_gt0. Qed.
