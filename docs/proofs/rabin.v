(* Rabin's test: f of degree d has no factor of degree i unless it shares it with X^(2^i) - X, since an irreducible factor of degree i
   makes a field of 2^i elements. So f is irreducible modulo 2 if it has nothing in common with the product of these for i <= d / 2. *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From Check Require Import quotient galois.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory Pdiv.CommonRing Pdiv.RingMonic.
Local Open Scope ring_scope.

(** Fermat *)

Section Fermat.

Variable g : modulus [finComRingType of 'F_2].
Hypothesis g_irreducible : irreducible_poly g.

Lemma field_unit (u : quotient g) : u != 0 -> u \is a GRing.unit.
Proof.
move=> u0; pose id' := [rmorphism of @idfun 'F_2].
have map_id p : map_poly id' p = p by apply/polyP => i; rewrite coef_map.
apply: (@quotient_unit _ _ id' id 0 (fun _ => 0) 1) => //.
- by move=> x /= ->; rewrite mulr0.
- by rewrite map_id.
rewrite map_id; apply: contra u0 => /eqP r0; rewrite -[u]reprK r0; apply/eqP; exact: (rmorph0 (pi_rmorphism g)).
Qed.

Lemma fermat (u : quotient g) : u ^+ (2 ^ degree g) = u.
Proof.
have [->|u0] := eqVneq u 0; first by rewrite expr0n expn_eq0.
have uu := field_unit u0; pose U : {unit quotient g} := FinRing.Unit (Phant _) uu.
have card : #|{: {unit quotient g}}| = (2 ^ degree g).-1.
  have := card_quotient g; rewrite card_Fp // => <-.
  rewrite card_sub (cardD1 (0 : quotient g) (mem {: quotient g})) inE /=.
  apply: eq_card => v; rewrite !inE andbT.
  by apply/idP/idP => [|/field_unit //]; apply: contraTneq => ->; rewrite unitr0.
have : (U ^+ #|[set: {unit quotient g}]| = 1)%g.
  have /dvdnP [k ->] : (order U %| #|[set: {unit quotient g}]|)%N by rewrite orderE cardSg ?subsetT.
  by rewrite mulnC expgM expg_order expg1n.
rewrite cardsT card => /(congr1 val); rewrite FinRing.val_unitX /= => e; rewrite -(prednK (_ : 0 < 2 ^ degree g)%N) ?expn_gt0 //.
by rewrite exprS e mulr1.
Qed.

Lemma divides_fermat : poly_of_modulus g %| 'X^(2 ^ degree g) - 'X.
Proof.
rewrite dvdpE -pi_eq0; apply/eqP.
by rewrite (rmorphB (pi_rmorphism g)) (rmorphX (pi_rmorphism g)) /= fermat subrr.
Qed.

End Fermat.

(** Rabin *)

Lemma monic_F2 (p : {poly 'F_2}) : p != 0 -> p \is monic.
Proof.
rewrite -lead_coef_eq0 monicE; case: (lead_coef p) => [[|[|n]] lt] //= _.
Qed.

Definition fermat_product (m : nat) : {poly 'F_2} := \prod_(1 <= i < m.+1) ('X^(2 ^ i) - 'X).

Theorem rabin (f : {poly 'F_2}) (m : nat) :
  (1 < size f)%N -> (size f <= m.*2.+2)%N -> coprimep f (fermat_product m) -> irreducible_poly f.
Proof.
move=> f1 f_m cop; have f0 : f != 0 by rewrite -size_poly_gt0 ltnW.
have none w : w %| f -> (1 < size w)%N -> (size w <= m.+1)%N -> False.
  have [n] := ubnP (size w); elim: n w => // n IH w w_n wf w1 w_m.
  have w0 : w != 0 by rewrite -size_poly_gt0 ltnW.
  have w_irr : irreducible_poly w.
    split=> // q q1 qw; rewrite -dvdp_size_eqp // eqn_leq dvdp_leq //= leqNgt; apply/negP => q_w.
    apply: (IH q); rewrite ?(dvdp_trans qw wf) //.
    - exact: leq_trans q_w w_n.
    - by rewrite ltn_neqAle eq_sym q1 size_poly_gt0; apply: contraTneq qw => ->; rewrite dvd0p.
    - by rewrite ltnW // (leq_trans q_w).
  pose g := @Modulus [finComRingType of 'F_2] w (monic_F2 w0) w1.
  have wp : w %| fermat_product m.
    rewrite /fermat_product (bigD1_seq (degree g)) /= ?iota_uniq //.
      by apply: dvdp_mulr; apply: (@divides_fermat g).
    by rewrite mem_index_iota ltnS /degree /= -subn1 subn_gt0 w1 leq_subLR add1n.
  have /coprimepP /(_ w wf wp) := cop.
  by rewrite -size_poly_eq1 eqn_leq leqNgt w1.
split=> // q q1 qf; rewrite -dvdp_size_eqp //.
have [r fE] := dvdpP _ _ qf.
have r0 : r != 0 by apply: contraNneq f0 => r0; rewrite fE r0 mul0r.
have q0 : q != 0 by apply: contraNneq f0 => q0; rewrite fE q0 mulr0.
have q_gt1 : (1 < size q)%N by rewrite ltn_neqAle eq_sym q1 size_poly_gt0.
have sE : size f = (size r + size q).-1 by rewrite fE size_mul.
have [r1|r1] := leqP (size r) 1.
  by rewrite sE (_ : size r = 1%N) //; apply/eqP; rewrite eqn_leq r1 size_poly_gt0.
have [q_m|q_m] := leqP (size q) m.+1; first by case: (none q qf q_gt1 q_m).
have [r_m|r_m] := leqP (size r) m.+1; first by case: (none r _ r1 r_m); rewrite fE dvdp_mulr.
move: f_m; rewrite sE leqNgt => /negP [].
by case: (size r + size q)%N (leq_add r_m q_m) => // n; rewrite !addSn !addnS addnn.
Qed.
