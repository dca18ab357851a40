(* The claims of a batch over one ring, and how they are joined: random weights and Freivalds' compression.
   mpc-core/src/security/active/{columns,linear,mixed,batch}.rs; docs/protocols.md, "The check", 1 and 2. *)

From mathcomp Require Import all_ssreflect all_algebra.
From Check Require Import calc exceptional game table claims compression rounds.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Lemma number_cat a b : number (a ++ b) = (number a * 2 ^ size b + number b)%N.
Proof. by elim: a => //= c a ->; rewrite size_cat expnD mulnDl mulnA addnA. Qed.

Lemma number_origin l : number (origin l) = 0%N.
Proof. by elim: l => //= l ->; rewrite mul0n. Qed.

Lemma number_exists l j : (j < 2 ^ l)%N -> exists2 a, size a = l & number a = j.
Proof.
move=> j_l; have : j \in map number (cube l) by rewrite number_cube mem_iota.
by case/mapP => a; rewrite mem_cube => /eqP sa ->; exists a.
Qed.

Lemma sum_cube_cat (V : zmodType) (f : seq bool -> V) l1 l2 :
  \sum_(a <- cube l1) \sum_(b <- cube l2) f (a ++ b) = \sum_(a <- cube (l1 + l2)) f a.
Proof.
elim: l1 f => [|l1 IH] f; first by rewrite /= big_seq1; apply: eq_bigr.
rewrite addSn /= !big_cat !big_map /=.
by rewrite -!IH.
Qed.

Section Batch.

Variables (C : finType) (R : comUnitRingType) (chal : C -> R).
Hypothesis chalP : exceptional chal.

Variable levels : nat -> nat.
Hypothesis levelsP : forall n, (1 < n)%N -> (0 < levels n <= up_log 2 n)%N.

(* The base ring, and how its values are elements of R: L of them make a column, value b standing for iota(value) beta_b. *)
Variables (B : comRingType) (iota : {rmorphism B -> R}) (L : nat) (beta : nat -> R).
Hypothesis betaP : forall e : nat -> B, \sum_(b < L) beta b * iota (e b) = 0 -> forall b, (b < L)%N -> e b = 0.

Local Notation message := (message R).
Local Notation game := (game C message).
Local Notation eps := (eps C).
Local Notation draw := (@draw C message R chal).
Local Notation inner := (inner R).
Local Notation claim := (claim R).
Local Notation unlifted := (unlifted R).
Local Notation last := (last chal).
Local Notation paired := (@paired R).
Local Notation normal := (@normal R).

(** 1. Weights: elementwise claims x_1 y_1 + .. + x_t y_t = z *)

(* Columns of base values; what is not there is zero. x and y have the L values of one term after those of the other, as many terms as the
   longest claim: where a claim has fewer, zeros, which the code leaves out. *)
Record elementwise := Elementwise { terms : nat; x : seq (nat -> B); y : seq (nat -> B); z : seq (nat -> B) }.

Definition value_at (v : seq (nat -> B)) k b : B := nth (fun _ => 0) v k b.

Definition sum_at (e : elementwise) k b : B :=
  \sum_(t < terms e) value_at (x e) k (t * L + b) * value_at (y e) k (t * L + b).

Definition true_elementwise (e : elementwise) : bool :=
  [forall k : 'I_(size (x e)), forall b : 'I_L, sum_at e k b == value_at (z e) k b].

(* A column as one element. *)
Definition element (v : seq (nat -> B)) k : R := \sum_(b < L) beta b * iota (value_at v k b).

(* `Columns::new`: 2^(l1 + l2) rows of G columns. *)
Definition columns (l1 l2 : nat) (e : elementwise) (next : unlifted -> game) : game :=
  let G := block (l1 + l2) (size (x e)) in
  let M := (terms e * L)%N in
  draw G (fun w => draw (2 ^ l2 - 1) (fun u =>
    let outer b := nth 0 (1 :: u) (number b) in
    let at_ v a i := iota (value_at v (number a * G + i %/ M) (i %% M)) in
    next (Unlifted l1 l2
      (Claim (G * M) (fun i a => nth 0 w (i %/ M) * beta (i %% M %% L) * at_ (x e) a i) (fun i a => at_ (y e) a i) outer 0)
      (Rows (fun a => \sum_(b <- cube l2) outer b *
        \sum_(g < G) nth 0 w g * element (z e) (number (a ++ b) * G + g)))))).

Definition false_table (most : nat) (u : unlifted) := ~~ stands u /\ (first u + second u <= most)%N.

(* What claim k is off by. *)
Definition off (e : elementwise) k : R :=
  \sum_(b < L) beta b * iota (sum_at e k b - value_at (z e) k b).

Lemma columns_error l1 l2 e w u (a : seq bool) : size a = l1 ->
  let G := block (l1 + l2) (size (x e)) in
  let M := (terms e * L)%N in
  let V j := \sum_(g < G) nth 0 w g * off e ((number a * 2 ^ l2 + j) * G + g) in
  let outer b := nth 0 (1 :: u) (number b) in
  let at_ v a i := iota (value_at v (number a * G + i %/ M) (i %% M)) in
  \sum_(b <- cube l2) outer b *
     (\sum_(i < G * M) nth 0 w (i %/ M) * beta (i %% M %% L) * at_ (x e) (a ++ b) i * at_ (y e) (a ++ b) i) -
  \sum_(b <- cube l2) outer b * (\sum_(g < G) nth 0 w g * element (z e) (number (a ++ b) * G + g)) =
  V 0%N + \sum_(j < 2 ^ l2 - 1) nth 0 u j * V j.+1.
Proof.
move=> sa G M V outer at_; rewrite -sumrB.
transitivity (\sum_(b <- cube l2) nth 0 (1 :: u) (number b) * V (number b)).
  rewrite big_seq [RHS]big_seq; apply: eq_bigr => b; rewrite mem_cube => /eqP sb.
  rewrite -mulrBr; congr (_ * _); rewrite /at_ number_cat sb.
  set k := (_ * 2 ^ l2 + _)%N.
  pose product i c := iota (value_at (x e) i c) * iota (value_at (y e) i c).
  pose f i := nth 0 w (i %/ M) * beta (i %% M %% L) * iota (value_at (x e) (k * G + i %/ M) (i %% M)) *
    iota (value_at (y e) (k * G + i %/ M) (i %% M)).
  rewrite (eq_bigr (fun i : 'I_(G * M) => f i)) // -sum_blocks -sumrB; apply: eq_bigr => g _.
  transitivity (nth 0 w g * (\sum_(c < M) beta (c %% L) * product (k * G + g)%N c - element (z e) (k * G + g))).
    rewrite mulrBr; congr (_ - _); rewrite mulr_sumr; apply: eq_bigr => c _.
    have M0 : (0 < M)%N by case: (M) c => // - [].
    by rewrite /f /product divnMDl // divn_small ?ltn_ord // addn0 modnMDl (modn_small (ltn_ord c)) !mulrA.
  congr (_ * _); pose h c := beta (c %% L) * product (k * G + g)%N c.
  rewrite (eq_bigr (fun c : 'I_M => h c)) // -sum_blocks exchange_big /off /element -sumrB; apply: eq_bigr => i _.
  rewrite rmorphB mulrBr /sum_at rmorph_sum mulr_sumr; congr (_ - _); apply: eq_bigr => t _.
  by rewrite /h /product modnMDl modn_small // rmorphM.
rewrite (sum_cube_number (fun j => nth 0 (1 :: u) j * V j)).
move: (2 ^ l2)%N V (expn_gt0 2 l2) => [|m] V // _.
by rewrite subn1 big_ord_recl /= mul1r; congr (_ + _); apply: eq_bigr.
Qed.

Lemma at_most_columns l1 l2 e next most (b : rat) :
  0 <= b -> (l1 + l2 <= most)%N -> ~~ true_elementwise e ->
  (forall u, normal u -> second u = l2 -> len (operands u) = (block (l1 + l2) (size (x e)) * (terms e * L))%N ->
     false_table most u -> at_most (next u) b) ->
  at_most (columns l1 l2 e next) (2%:R * eps + b).
Proof.
move=> b0 most_l bad H.
have [k k_n ne] : exists2 k, (k < size (x e))%N & off e k != 0.
  have [k /forallPn [c neq]] := forallPn bad; exists k => //; apply: contra neq => /eqP off0.
  rewrite -subr_eq0; apply/eqP.
  exact: (betaP (e := fun c => sum_at e k c - value_at (z e) k c) off0 (ltn_ord c)).
rewrite /columns; set G := block _ _; have k_G : (k < 2 ^ (l1 + l2) * G)%N by apply: leq_trans k_n (block_covers _ _).
have G0 : (0 < G)%N by case: (G) k_G => //; rewrite muln0.
have a_lt : (k %/ G < 2 ^ l1 * 2 ^ l2)%N by rewrite -expnD ltn_divLR.
have [a sa aE] : exists2 a, size a = l1 & number a = (k %/ G %/ 2 ^ l2)%N.
  by apply: number_exists; rewrite ltn_divLR ?expn_gt0.
set j0 := (k %/ G %% 2 ^ l2)%N.
have kE : k = ((number a * 2 ^ l2 + j0) * G + k %% G)%N by rewrite aE -divn_eq -divn_eq.
pose V w j := \sum_(g < G) nth 0 w g * off e ((number a * 2 ^ l2 + j) * G + g).
have -> : 2%:R * eps + b = eps + (eps + b) by rewrite addrA mulr_natl mulr2n.
apply: (@at_most_linear _ _ _ _ chalP _ 0 (fun g => off e ((number a * 2 ^ l2 + j0) * G + g))).
- by rewrite addr_ge0 ?eps_ge0.
- by exists (k %% G)%N; rewrite ?ltn_mod -?kE.
move=> w sw; rewrite add0r -/(V w j0) => nw.
apply: (@at_most_affine _ _ _ _ chalP _ (V w 0%N) (fun j => V w j.+1)) => //.
  case E : j0 => [|j]; first by left; rewrite -E.
  right; exists j; last by rewrite -E.
  by rewrite -ltnS subn1 prednK ?expn_gt0 // -E ltn_mod expn_gt0.
move=> u su nu; apply: H => //; first by rewrite /rounds.normal /= number_origin.
split=> //; rewrite /stands /=; apply/allPn; exists a; first by rewrite mem_cube sa.
rewrite -subr_eq0 /first_table /=.
under eq_bigr do under eq_bigr do rewrite !ext_cat !ext_on_cube.
by have := @columns_error l1 l2 e w u a sa; rewrite /= => ->.
Qed.

(** 2. Freivalds: Z = X Y, several groups of rows of X with a Y of their own *)

(* Row i of X and Z belongs to group i / rows. `few` where one side stays base values for l1 + l2 variables (`Mixed`). *)
Record product := Product { groups : nat; rows : nat; inside : nat; cols : nat;
  left_matrix : nat -> nat -> B; right_matrix : nat -> nat -> nat -> B; result : nat -> nat -> B;
  few : option (nat * nat) }.

Definition true_product (t : product) : bool :=
  [forall i : 'I_(groups t * rows t), forall j : 'I_(cols t),
    \sum_(k < inside t) left_matrix t i k * right_matrix t (i %/ rows t) k j == result t i j].

(* In mixed.rs there is one group. *)
Definition proper most (t : product) := if few t is Some (l1, l2) then groups t = 1%N /\ (l1 + l2 <= most)%N else True.

(* <r^T X, Y s> = r^T Z s, of one group. *)
Definition compressed (t : product) (r s : seq R) (g : nat) : inner :=
  Inner
    (mkseq (fun k => \sum_(i < rows t) nth 0 r (g * rows t + i) * iota (left_matrix t (g * rows t + i) k)) (inside t))
    (mkseq (fun k => \sum_(j < cols t) iota (right_matrix t g k j) * nth 0 s j) (inside t))
    (\sum_(i < rows t) nth 0 r (g * rows t + i) * \sum_(j < cols t) iota (result t (g * rows t + i)%N j) * nth 0 s j).

(* Where it goes: to the claims that get tables, or to the inner product. *)
Definition add (t : product) (r s : seq R) (us : seq unlifted) (d : inner) : seq unlifted * inner :=
  if few t is Some (l1, l2) then
    (rcons us (Unlifted l1 l2 (cut (l1 + l2) (compressed t r s 0)) (Sum (c (compressed t r s 0)))), d)
  else (us, push_all d (nseq (groups t) 1) (map (compressed t r s) (seq.iota 0 (groups t)))).

Definition compress (t : product) (us : seq unlifted) (d : inner) (next : seq unlifted -> inner -> game) : game :=
  draw (groups t * rows t) (fun r => draw (cols t) (fun s => next (add t r s us d).1 (add t r s us d).2)).

Fixpoint compress_all (ts : seq product) (us : seq unlifted) (d : inner) (next : seq unlifted -> inner -> game) : game :=
  if ts is t :: ts' then compress t us d (fun us d => compress_all ts' us d next) else next us d.

(* Entry (i, j) of X Y - Z. *)
Definition entry (t : product) i j : R :=
  iota (\sum_(k < inside t) left_matrix t i k * right_matrix t (i %/ rows t) k j - result t i j).

Lemma error_compressed t r s g :
  error (compressed t r s g) =
  \sum_(i < rows t) \sum_(j < cols t) nth 0 r (g * rows t + i) * entry t (g * rows t + i)%N j * nth 0 s j.
Proof.
rewrite /error size_mkseq /=.
under eq_bigr do rewrite !nth_mkseq // mulr_suml.
rewrite exchange_big -sumrB /=; apply: eq_bigr => i _.
under eq_bigr do rewrite -mulrA mulr_sumr.
have gi : ((g * rows t + i) %/ rows t = g)%N.
  have r0 : (0 < rows t)%N by case: (rows t) i => // - [].
  by rewrite divnMDl // divn_small ?addn0.
rewrite -mulr_sumr exchange_big -mulrBr -sumrB mulr_sumr /=; apply: eq_bigr => j _.
rewrite -mulrA; congr (_ * _); rewrite /entry gi rmorphB rmorph_sum mulrBl mulr_suml; congr (_ - _).
by apply: eq_bigr => k _; rewrite rmorphM mulrA.
Qed.

Lemma error_all_groups t r s d : paired d ->
  error (push_all d (nseq (groups t) 1) (map (compressed t r s) (seq.iota 0 (groups t)))) =
  error d + \sum_(j < cols t) (\sum_(i < groups t * rows t) nth 0 r i * entry t i j) * nth 0 s j.
Proof.
move=> pd; rewrite error_push_all //; last first.
  by elim: (seq.iota _ _) => //= g gs IH; constructor => //; rewrite /claims.paired !size_mkseq.
congr (_ + _); rewrite size_map size_iota.
transitivity (\sum_(g < groups t) error (compressed t r s g)).
  apply: eq_bigr => g _; rewrite nth_nseq ltn_ord mul1r (nth_map (Inner [::] [::] 0)) ?size_map ?size_iota //.
  by rewrite (nth_map 0%N) ?size_iota // nth_iota.
under eq_bigr do rewrite error_compressed.
rewrite (sum_blocks (fun i => \sum_(j < cols t) nth 0 r i * entry t i j * nth 0 s j)) exchange_big /=.
by apply: eq_bigr => j _; rewrite mulr_suml.
Qed.

(* What is public of the claims that are joined: the length of the inner product, and in which step each is complete. *)
Definition length_of (t : product) : nat :=
  if few t is Some (l1, l2) then block (l1 + l2) (inside t) else (groups t * inside t)%N.
Definition seconds (t : product) : seq nat := if few t is Some (_, l2) then [:: l2] else [::].

Definition kept n S (ts : seq product) (us : seq unlifted) (d : inner) :=
  [/\ paired d, Forall normal us,
      (size (p d) + length1 us + sumn (map length_of ts) = n)%N &
      map (@second R) us ++ flatten (map seconds ts) = S].

(* Something is false and stays so. *)
Definition solid most (ts : seq product) (us : seq unlifted) (d : inner) :=
  Exists (false_table most) us \/ error d != 0 /\ all true_product ts.

Lemma Forall_rcons (T : Type) (P : T -> Prop) s v : Forall P s -> P v -> Forall P (rcons s v).
Proof. by elim=> [|w l Pw _ IH] Pv /=; constructor => //; apply: IH. Qed.

Lemma Exists_rcons (T : Type) (P : T -> Prop) s v : Exists P s -> Exists P (rcons s v).
Proof. by elim=> [w l Pw|w l _ IH] /=; [constructor | apply: List.Exists_cons_tl]. Qed.

Lemma Exists_last (T : Type) (P : T -> Prop) s v : P v -> Exists P (rcons s v).
Proof. by move=> Pv; elim: s => [|w l IH] /=; [constructor | apply: List.Exists_cons_tl]. Qed.

Lemma kept_add n S t ts us d r s : kept n S (t :: ts) us d -> kept n S ts (add t r s us d).1 (add t r s us d).2.
Proof.
case=> pd nus sn shape; rewrite /add; move: sn shape; rewrite /= /length_of /seconds.
case: (few t) => [[l1 l2]|] /= sn shape; split=> //.
- by apply: Forall_rcons.
- by rewrite -sn /length1 map_rcons -cats1 sumn_cat /= size_mkseq addn0 !addnA.
- by rewrite -shape map_rcons cat_rcons.
- apply: paired_push_all => //.
  by elim: (seq.iota _ _) => //= g gs IH; constructor => //; rewrite /claims.paired !size_mkseq.
rewrite size_push_all -map_comp -sn -!addnA; congr (_ + _)%N; rewrite addnCA; congr (_ + (_ + _))%N.
rewrite (eq_map (_ : _ =1 (fun _ => inside t))) => [|g]; last by rewrite /= size_mkseq.
by elim: (groups t) 0%N => //= m IH g; rewrite IH mulSn.
Qed.

Lemma entry_true t : true_product t -> forall i j, (i < groups t * rows t)%N -> (j < cols t)%N -> entry t i j = 0.
Proof.
move=> /forallP tt i j i_n j_n; have /forallP /(_ (Ordinal j_n)) /eqP /= e := tt (Ordinal i_n).
by rewrite /entry e subrr rmorph0.
Qed.

Lemma solid_add most t ts us d r s : paired d -> solid most (t :: ts) us d ->
  solid most ts (add t r s us d).1 (add t r s us d).2.
Proof.
move=> pd; rewrite /solid /add; case: (few t) => [[l1 l2]|] /= [ex|[ne /andP [tt all_t]]].
- by left; apply: Exists_rcons.
- by right.
- by left.
right; split=> //; rewrite error_all_groups // big1 ?addr0 // => j _.
by rewrite big1 ?mul0r // => i _; rewrite entry_true ?mulr0.
Qed.

(* A claim with few rows is the inner product that it was cut from. *)
Lemma stands_cut l1 l2 d : paired d -> stands (Unlifted l1 l2 (cut (l1 + l2) d) (Sum (c d))) = (error d == 0).
Proof.
move=> pd; rewrite -(holds_cut (l1 + l2)) // /stands /holds /=; congr (_ == _).
rewrite -(sum_cube_cat (fun a => 1 * products (cut (l1 + l2) d) a)).
apply: eq_bigr => a _; rewrite /first_table /=; apply: eq_bigr => b _; congr (_ * _).
by apply: eq_bigr => i _; rewrite !ext_cat !ext_on_cube.
Qed.

Hypothesis iota_inj : injective iota.

Lemma at_most_compress n S most t ts us d next (b : rat) : 0 <= b -> proper most t -> kept n S (t :: ts) us d ->
  ~~ true_product t -> all true_product ts ->
  (forall us d, kept n S ts us d -> solid most ts us d -> at_most (next us d) b) ->
  at_most (compress t us d next) (2%:R * eps + b).
Proof.
move=> b0 prop keep bad all_t H.
have [i0 /forallPn [j0 neq]] := forallPn bad.
have ne : entry t i0 j0 != 0.
  by apply: contra neq => /eqP; rewrite -(rmorph0 iota) => /iota_inj /eqP; rewrite subr_eq0.
have -> : 2%:R * eps + b = eps + (eps + b) by rewrite addrA mulr_natl mulr2n.
have pd : paired d by case: keep.
rewrite /compress; apply: (@at_most_linear _ _ _ _ chalP _ 0 (fun i => entry t i j0)).
- by rewrite addr_ge0 ?eps_ge0.
- by exists i0.
move=> r _; rewrite add0r => nr.
pose e j := \sum_(i < groups t * rows t) nth 0 r i * entry t i j.
apply: (@at_most_affine _ _ _ _ chalP _ (if few t is Some _ then 0 else error d) e) => //; first by right; exists j0.
move=> s _ ns; apply: H; first exact: kept_add.
have swap : \sum_(j < cols t) nth 0 s j * e j = \sum_(j < cols t) e j * nth 0 s j by apply: eq_bigr => j _; rewrite mulrC.
move: ns; rewrite swap /solid /add; move: prop; rewrite /proper; case E : (few t) => [[l1 l2]|] /= => [[g1 l_most]|_] ns.
  left; apply: Exists_last; split=> //=; rewrite stands_cut; last by rewrite /claims.paired !size_mkseq.
  have := @error_all_groups t r s (Inner [::] [::] 0) (erefl _).
  rewrite g1 /= error_push ?[error (Inner _ _ _)]/error /= ?big_ord0 ?subr0 ?add0r ?mul1r // => ->.
  by move: ns; rewrite add0r /e g1.
by right; split=> //; rewrite error_all_groups.
Qed.

Lemma at_most_compress_kept n S most ts us d next (b : rat) : 0 <= b -> kept n S ts us d -> solid most ts us d ->
  (forall us d, kept n S [::] us d -> error d != 0 \/ Exists (false_table most) us -> at_most (next us d) b) ->
  at_most (compress_all ts us d next) b.
Proof.
move=> b0; elim: ts us d => [|t ts IH] us d keep bad H /=.
  by apply: H => //; case: bad => [ex|[ne _]]; [right | left].
apply: at_most_draw => // r _; apply: at_most_draw => // s _; apply: IH => //; first exact: kept_add.
by apply: solid_add => //; case: keep.
Qed.

Lemma at_most_compress_all n S most ts us d next (b : rat) : 0 <= b -> Forall (proper most) ts -> kept n S ts us d ->
  ~~ all true_product ts ->
  (forall us d, kept n S [::] us d -> error d != 0 \/ Exists (false_table most) us -> at_most (next us d) b) ->
  at_most (compress_all ts us d next) (2%:R * eps + b).
Proof.
move=> b0 + + + H; elim: ts us d => [|t ts IH] us d prop keep //= bad.
have [all_t|some] := boolP (all true_product ts); last first.
  apply: at_most_draw => [|r _]; first by rewrite addr_ge0 ?scaled_ge0.
  apply: at_most_draw => [|s _]; first by rewrite addr_ge0 ?scaled_ge0.
  by apply: IH => //; [inversion prop | apply: kept_add].
apply: (at_most_compress (most := most) b0 _ keep _ all_t) => [||us' d' keep' bad'].
- by inversion prop.
- by rewrite all_t andbT in bad.
- exact: (at_most_compress_kept b0 keep' bad').
Qed.

(** The check of one ring *)

Definition nothing : inner := Inner [::] [::] 0.

(* l1 and l2: in how many variables the rows of the elementwise claims are numbered. *)
Definition check (l1 l2 : nat) (e : elementwise) (ts : seq product) : game :=
  if size (x e) == 0%N then compress_all ts [::] nothing (first_round chal levels)
  else columns l1 l2 e (fun u => compress_all ts [:: u] nothing (first_round chal levels)).

Definition total_length (l1 l2 : nat) (e : elementwise) (ts : seq product) : nat :=
  ((if size (x e) == 0 then 0 else block (l1 + l2) (size (x e)) * (terms e * L)) + sumn (map length_of ts))%N.

(* j: 1 if all tables are complete after the same step, 2 if not, 0 if there are none. *)
Definition joins (l2 : nat) (e : elementwise) (ts : seq product) : nat :=
  let S := (if size (x e) == 0%N then [::] else [:: l2]) ++ flatten (map seconds ts) in
  (has (pred1 0%N) S + has (predC1 0%N) S)%N.

Theorem at_most_check l1 l2 e ts most : (l1 + l2 <= most)%N -> Forall (proper most) ts ->
  (0 < total_length l1 l2 e ts)%N -> ~~ (true_elementwise e && all true_product ts) ->
  at_most (check l1 l2 e ts)
    ((2 + 2 * most + joins l2 e ts + 2 * up_log 2 (total_length l1 l2 e ts))%:R * eps + last).
Proof.
move=> l_most prop; set n := total_length _ _ _ _ => n0 bad.
set S := (if size (x e) == 0%N then [::] else [:: l2]) ++ flatten (map seconds ts).
set after := (2 * most + joins l2 e ts)%:R * eps + after_tables chal n.
have -> : (2 + 2 * most + joins l2 e ts + 2 * up_log 2 n)%:R * eps + last = 2%:R * eps + after.
  by rewrite /after /after_tables !addrA -!mulrDl -!natrD !addnA.
have after0 : 0 <= after by rewrite addr_ge0 ?scaled_ge0 ?after_ge0.
have rest us d : kept n S [::] us d -> error d != 0 \/ Exists (false_table most) us ->
    at_most (first_round chal levels us d) after.
  case=> pd nus; rewrite addn0 cats0 => sn shape bad'.
  have -> : after = (2 * most + moments us)%:R * eps + after_tables chal n.
    by rewrite /after /joins -/S -shape !has_map.
  exact: at_most_first_round.
rewrite /check; have [e0|e0] := eqVneq (size (x e)) 0%N.
  have te : true_elementwise e by apply/forallP => - [k]; rewrite e0.
  rewrite te /= in bad; apply: (at_most_compress_all after0 prop _ bad rest).
  by split=> //; rewrite /n /total_length /S e0.
have keep u : normal u -> second u = l2 -> len (operands u) = (block (l1 + l2) (size (x e)) * (terms e * L))%N ->
    kept n S ts [:: u] nothing.
  move=> nu su lu; split=> //; first by constructor.
    by rewrite /n /total_length (negPf e0) /length1 /= lu addn0.
  by rewrite /S (negPf e0) /= su.
have [te|fe] := boolP (true_elementwise e).
  rewrite te /= in bad; apply: at_most_draw => [|w _]; first by rewrite addr_ge0 ?scaled_ge0.
  apply: at_most_draw => [|u _]; first by rewrite addr_ge0 ?scaled_ge0.
  apply: (at_most_compress_all after0 prop _ bad rest); apply: keep => //.
  by rewrite /rounds.normal /= number_origin.
apply: (at_most_columns after0 l_most fe) => u nu su lu fu.
by apply: (at_most_compress_kept after0 (keep u nu su lu) _ rest); left; constructor.
Qed.

End Batch.
