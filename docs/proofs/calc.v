(* Coq's `ring` for the rings of MathComp: a section over R says `Add Ring R_ring : (calc_theory R).` and then has `calc`. *)

From mathcomp Require Import all_ssreflect all_algebra.
From Coq Require Export Ring.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory.
Local Open Scope ring_scope.

Section Operations.

Variable R : comUnitRingType.

Definition plus (x y : R) : R := x + y.
Definition times (x y : R) : R := x * y.
Definition negative (x : R) : R := - x.
Definition minus (x y : R) : R := plus x (negative y).
Definition zero : R := 0.
Definition one : R := 1.

Lemma calc_theory : @ring_theory R zero one plus times minus negative eq.
Proof.
split; rewrite /zero /one /minus /plus /times /negative => *;
  rewrite ?add0r ?mul1r ?subrr ?mulrDl ?addrA ?mulrA //; [exact: addrC | exact: mulrC].
Qed.

End Operations.

(* The same operation of MathComp is written in several ways; here each has one name. *)
Ltac calc_names R :=
  repeat match goal with
  | |- context [@GRing.add ?V ?x ?y] => change (@GRing.add V x y) with (@plus R x y)
  | |- context [@GRing.mul ?V ?x ?y] => change (@GRing.mul V x y) with (@times R x y)
  | |- context [@GRing.opp ?V ?x] => change (@GRing.opp V x) with (@negative R x)
  | |- context [GRing.zero ?V] => change (GRing.zero V) with (zero R)
  | |- context [GRing.one ?V] => change (GRing.one V) with (one R)
  end;
  match goal with |- @eq _ ?x ?y => change (@eq (GRing.ComUnitRing.sort R) x y) end.
