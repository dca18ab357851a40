(* Challenge sets whose differences are units, and how many of their elements can be roots.
   docs/protocols.md, "The rings of the check", Lemma 1. *)

From mathcomp Require Import all_ssreflect all_algebra.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory.
Local Open Scope ring_scope.

(* C stands for what the coin says, `chal` for `Extension::challenges`: the set S of the document is the image of `chal`. *)
Definition exceptional (C : finType) (R : comUnitRingType) (chal : C -> R) :=
  forall c c' : C, c != c' -> chal c - chal c' \is a GRing.unit.

Section Roots.

Variables (C : finType) (R : comUnitRingType) (chal : C -> R).
Hypothesis chalP : exceptional chal.

Lemma uniq_roots_map (s : seq C) : uniq s -> uniq_roots (map chal s).
Proof.
elim: s => //= c s IHs /andP [cNs us]; rewrite IHs // andbT.
apply/allP => x /mapP [c' c's ->{x}].
rewrite /diff_roots mulrC eqxx /=; apply: chalP.
by apply: contraNneq cNs => <-.
Qed.

(* Coefficients may be zero divisors, such as 2^63: only the differences must be units. *)
Theorem roots_at_most (A : {set C}) (p : {poly R}) (d : nat) :
  p != 0 -> (size p <= d.+1)%N -> (#|[set c in A | root p (chal c)]| <= d)%N.
Proof.
move=> p0 sp; rewrite cardE -(size_map chal); rewrite -ltnS; apply: leq_trans sp.
apply: max_ring_poly_roots => //; last by apply: uniq_roots_map; rewrite enum_uniq.
by apply/allP => x /mapP [c]; rewrite mem_enum inE => /andP [_ rc] ->{x}.
Qed.

Lemma chal_inj : injective chal.
Proof.
move=> c c' e; apply/eqP; apply: contraT => /chalP.
by rewrite e subrr unitr0.
Qed.

End Roots.
