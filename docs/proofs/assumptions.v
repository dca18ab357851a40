(* What the theorems that the documents cite rest on. build.sh demands that each is "Closed under the global context". *)

From Check Require Import exceptional game table batch completeness galois irreducible soundness.

Print Assumptions roots_at_most.
Print Assumptions share_count.
Print Assumptions outside_chance.
Print Assumptions interp_product.
Print Assumptions at_most_check.
Print Assumptions complete_check.
Print Assumptions quotient_unit.
Print Assumptions chal_exceptional.
Print Assumptions irreducible4.
Print Assumptions irreducible48.
Print Assumptions irreducible64.
Print Assumptions sound_ring.
Print Assumptions card_nonzero.
Print Assumptions shifted_claim.
Print Assumptions standard_products.
Print Assumptions strict_products.
Print Assumptions standard_narrow.
Print Assumptions strict_narrow.
Print Assumptions ands.
Print Assumptions standard_promise.
Print Assumptions strict_promise.
