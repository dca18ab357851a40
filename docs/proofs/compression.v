(* One ring's inner product from the claims that are joined to the opened mask.
   mpc-core/src/security/active/inner.rs and `check` in mod.rs; docs/protocols.md, "The check", 3 to 6. *)

From mathcomp Require Import all_ssreflect all_algebra.
From Check Require Import calc exceptional game table claims.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

(* A sum over blocks of equal length is the sum over everything. *)
Lemma sum_blocks (V : zmodType) (f : nat -> V) (n m : nat) :
  \sum_(a < n) \sum_(i < m) f (a * m + i)%N = \sum_(k < n * m) f k.
Proof.
elim: n => [|n IHn]; first by rewrite !big_ord0.
rewrite big_ord_recr /= IHn mulSn addnC big_split_ord /=.
by congr (_ + _); apply: eq_bigr.
Qed.

Lemma sum_cube_number (V : zmodType) (f : nat -> V) l : \sum_(a <- cube l) f (number a) = \sum_(j < 2 ^ l) f j.
Proof. by rewrite -(big_map number xpredT f) number_cube -[(2 ^ l)%N in LHS]subn0 -/(index_iota _ _) big_mkord. Qed.

Section Compression.

Variables (C : finType) (R : comUnitRingType) (chal : C -> R).
Hypothesis chalP : exceptional chal.

(* What the honest parties hold after a round: entry e of message i. The cheater chooses all of it. *)
Definition message := nat -> seq digit -> R.

Local Notation game := (game C message).
Local Notation eps := (eps C).
Local Notation draw := (@draw C message R chal).
Local Notation inner := (inner R).
Local Notation claim := (claim R).
Local Notation unlifted := (unlifted R).

Add Ring R_ring : (calc_theory R).
Ltac calc := calc_names R; ring.

(** 6. Mask and opening *)

Definition nonzero : {set C} := [set x | chal x != 0].

(* p', q', h1 and h2 are received. Nothing is claimed by a vector without elements: `len() == 0` in `send_mask`. *)
Definition finish (d : inner) : game :=
  if p d is p0 :: _ then
    let q0 := head 0 (q d) in
    Receive (fun m : message =>
      let: (p', q', h1, h2) := (m 0%N [::], m 1%N [::], m 2%N [::], m 3%N [::]) in
      Toss nonzero (fun x => let t := chal x in
        Verdict C message ((p0 + t * p') * (q0 + t * q') == c d + t * h1 + t * t * h2)))
  else Verdict C message true.

Definition last : rat := 2%:R / #|nonzero|%:R.

Lemma last_ge0 : 0 <= last.
Proof. by rewrite divr_ge0 ?ler0n. Qed.

Lemma bound_ge0 n : 0 <= n%:R * eps + last.
Proof. by apply: addr_ge0 last_ge0; apply: mulr_ge0 (eps_ge0 _); apply: ler0n. Qed.

Lemma mask_form (p0 q0 p' q' v h1 h2 t : R) :
  (p0 + t * p') * (q0 + t * q') - (v + t * h1 + t * t * h2) =
  (p0 * q0 - v) + (p0 * q' + p' * q0 - h1) * t + (p' * q' - h2) * (t * t).
Proof. by calc. Qed.

Lemma at_most_finish d : paired d -> size (p d) = 1%N -> error d != 0 -> at_most (finish d) last.
Proof.
rewrite /paired /finish /error; case: d => p q v /=; case: p => [|p0 []] //= sq _.
case: q sq => [|q0 []] //= _; rewrite big_ord1 /= => ne.
apply: at_most_receive => m; set p' := m 0%N _; set q' := m 1%N _; set h1 := m 2%N _; set h2 := m 3%N _.
pose f : {poly R} := (p0 * q0 - v)%:P + (p0 * q' + p' * q0 - h1) *: 'X + (p' * q' - h2) *: 'X^2.
have fE t : f.[t] = (p0 + t * p') * (q0 + t * q') - (v + t * h1 + t * t * h2).
  by rewrite mask_form /f !hornerD !hornerZ hornerC hornerX hornerXn expr2.
rewrite -[last]addr0; apply: (@at_most_root _ _ _ _ chalP _ _ f 2) => //.
- apply: contra ne => /eqP /(congr1 (fun g : {poly R} => g`_0)).
  by rewrite /f !coefD !coefZ coefC coefX coefXn /= !mulr0 !addr0 coef0 => ->.
- apply: leq_trans (size_add _ _) _; rewrite geq_max; apply/andP; split; last first.
    by apply: leq_trans (size_scale_leq _ _) _; rewrite size_polyXn.
  apply: leq_trans (size_add _ _) _; rewrite geq_max; apply/andP; split.
    by apply: leq_trans (size_polyC_leq1 _) _.
  by apply: leq_trans (size_scale_leq _ _) _; rewrite size_polyX.
move=> x _; rewrite fE subr_eq0 => /negPf neq adv seen /=.
by rewrite neq.
Qed.

(** 5. Shortening *)

(* How many variables a pass binds for a vector of that length: `InnerProduct::levels`. Any choice will do. *)
Variable levels : nat -> nat.
Hypothesis levelsP : forall n, (1 < n)%N -> (0 < levels n <= up_log 2 n)%N.

(* Length of a block, 2^l of which cover n elements. *)
Definition block (l n : nat) : nat := ((n + (2 ^ l - 1)) %/ 2 ^ l)%N.

(* Blocks of p and q as the values of polynomials; zeros are appended. *)
Definition cut l (d : inner) : claim :=
  let m := block l (size (p d)) in
  let at_ (v : seq R) i a := nth 0 v (number a * m + i) in
  Claim m (at_ (p d)) (at_ (q d)) (fun _ => 1) (c d).

Fixpoint shorten (fuel : nat) (d : inner) : game :=
  if (size (p d) <= 1)%N then finish d
  else if fuel is fuel'.+1 then
    let l := levels (size (p d)) in
    Receive (fun m : message => draw l (fun ts => shorten fuel' (bind_sum l (cut l d) (m 0%N) ts)))
  else Verdict C message true.

Lemma block_covers l n : (n <= 2 ^ l * block l n)%N.
Proof.
have l0 : (0 < 2 ^ l)%N by rewrite expn_gt0.
have := ltn_ceil (n + (2 ^ l - 1)) l0; rewrite -/(block l n) mulSn => lt.
rewrite mulnC -(leq_add2r (2 ^ l - 1)) -ltnS; apply: leq_trans lt _.
by rewrite -addnS subn1 prednK // addnC.
Qed.

Lemma block_le l k n : (n <= 2 ^ (l + k))%N -> (block l n <= 2 ^ k)%N.
Proof.
move=> n_le; rewrite /block -ltnS ltn_divLR ?expn_gt0 // mulSn -expnD (addnC k l) [in X in (_ < X)%N]addnC.
apply: (@leq_ltn_trans (2 ^ (l + k) + (2 ^ l - 1))); first by rewrite leq_add2r.
by rewrite ltn_add2l subn1 prednK ?expn_gt0.
Qed.

Lemma holds_cut l d : paired d -> holds l (cut l d) = (error d == 0).
Proof.
rewrite /holds /error /cut /products subr_eq0 /= => pd; congr (_ == _).
under eq_bigr do rewrite mul1r.
set m := block l _; pose f k := nth 0 (p d) k * nth 0 (q d) k.
rewrite (sum_cube_number (fun j => \sum_(i < m) f (j * m + i)%N)) sum_blocks.
have covers := block_covers l (size (p d)).
rewrite (big_ord_widen _ f covers) [RHS]big_mkcond; apply: eq_bigr => k _.
by case: ltnP => // le; rewrite /f nth_default ?mul0r.
Qed.

Lemma at_most_shorten fuel d : paired d -> (0 < size (p d) <= fuel.+1)%N -> error d != 0 ->
  at_most (shorten fuel d) ((2 * up_log 2 (size (p d)))%:R * eps + last).
Proof.
elim: fuel d => [|fuel IH] d pd /andP [p0 p_le] ne /=; case: leqP => [p1|p1].
- have sp : size (p d) = 1%N by apply/eqP; rewrite eqn_leq p1.
  by rewrite sp up_log1 muln0 mul0r add0r; apply: at_most_finish.
- by move: (leq_trans p1 p_le).
- have sp : size (p d) = 1%N by apply/eqP; rewrite eqn_leq p1.
  by rewrite sp up_log1 muln0 mul0r add0r; apply: at_most_finish.
have /andP [l0 l_le] := levelsP p1; set l := levels _ in l0 l_le *; set n := size (p d) in p0 p_le p1 l_le *.
have n_le : (n <= 2 ^ (l + (up_log 2 n - l)))%N by rewrite subnKC // up_logP.
have b_le := block_le n_le.
have b0 : (0 < block l n)%N by have := block_covers l n; case: (block l n) => //; rewrite muln0 leqNgt p0.
apply: at_most_receive => m.
apply: at_most_le (_ : at_most _ ((2 * l)%:R * eps + ((2 * (up_log 2 n - l))%:R * eps + last))) _; last first.
  by rewrite addrA -mulrDl -natrD -mulnDr subnKC.
apply: (@at_most_bind_sum _ _ _ _ chalP l (cut l d) (m 0%N)) => //.
- exact: bound_ge0.
- by rewrite holds_cut.
move=> ts sts ne'.
have sb : size (p (bind_sum l (cut l d) (m 0%N) ts)) = block l n by rewrite /= size_mkseq.
apply: at_most_le (IH _ _ _ ne') _; first exact: paired_at_point.
  rewrite sb b0 /= -ltnS; apply: leq_trans p_le; apply: leq_ltn_trans b_le _.
  apply: leq_ltn_trans (up_log_gtn (isT : 1 < 2)%N p1); rewrite leq_exp2l //.
  by rewrite -subn1; apply: leq_sub2l.
rewrite sb ler_add2r; apply: ler_wpmul2r; first exact: eps_ge0.
by rewrite ler_nat leq_mul2l /=; apply: up_log_min.
Qed.

End Compression.
