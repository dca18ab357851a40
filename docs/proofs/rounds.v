(* The rounds of tables of base values, and the two moments at which bound claims are joined.
   mpc-core/src/security/active/inner.rs, `bind`; docs/protocols.md, "The check", 3 and 4. *)

From mathcomp Require Import all_ssreflect all_algebra.
From Check Require Import calc exceptional game table claims compression.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import Order.TTheory GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Notation Forall := List.Forall.
Notation Exists := List.Exists.

Section Rounds.

Variables (C : finType) (R : comUnitRingType) (chal : C -> R).
Hypothesis chalP : exceptional chal.

Variable levels : nat -> nat.
Hypothesis levelsP : forall n, (1 < n)%N -> (0 < levels n <= up_log 2 n)%N.

Local Notation message := (message R).
Local Notation game := (game C message).
Local Notation eps := (eps C).
Local Notation draw := (@draw C message R chal).
Local Notation inner := (inner R).
Local Notation claim := (claim R).
Local Notation unlifted := (unlifted R).
Local Notation last := (last chal).

(* u_0 = 1 *)
Definition normal (u : unlifted) := weight (operands u) (origin (second u)) = 1.

(* A claim with the number of its variables. *)
Definition normal2 (k : nat * claim) := weight k.2 (origin k.1) = 1.
Definition false2 (k : nat * claim) := ~~ holds k.1 k.2.

Definition length1 (us : seq unlifted) := sumn (map (fun u => len (operands u)) us).
Definition length2 (ks : seq (nat * claim)) := sumn (map (fun k => len k.2) ks).

(* All claims receive their tables in one message, and are bound one after the other. *)
Fixpoint bind_all (i : nat) (us : seq unlifted) (m : message) (next : seq (nat * claim) -> game) : game :=
  if us is u :: us' then
    draw (first u) (fun ts => bind_all i.+1 us' m (fun ks => next ((second u, bind_first u (m i) ts) :: ks)))
  else next [::].

Fixpoint bind_rest (i : nat) (ks : seq (nat * claim)) (m : message) (next : seq inner -> game) : game :=
  if ks is (l, k) :: ks' then
    draw l (fun ts => bind_rest i.+1 ks' m (fun ds => next (bind_sum l k (m i) ts :: ds)))
  else next [::].

Definition finish_rounds (d : inner) : game := shorten chal levels (size (p d)) d.

Definition second_round (ks : seq (nat * claim)) (d : inner) : game :=
  if ks is [::] then finish_rounds d
  else Receive (fun m : message => bind_rest 0 ks m (fun ds => join chal d ds finish_rounds)).

(* Claims without variables for a second step are complete after the first. *)
Definition complete (k : nat * claim) := k.1 == 0%N.
Definition at_once (k : nat * claim) : inner := at_point k.2 [::] (value k.2).

Definition first_round (us : seq unlifted) (d : inner) : game :=
  if us is [::] then finish_rounds d
  else Receive (fun m : message => bind_all 0 us m (fun ks =>
    join chal d (map at_once (filter complete ks)) (second_round (filter (predC complete) ks)))).

(* How often claims are joined to others: j of the document. *)
Definition moments (us : seq unlifted) : nat :=
  (has (fun u => second u == 0%N) us + has (fun u => second u != 0%N) us)%N.

Definition after_tables (n : nat) : rat := (2 * up_log 2 n)%:R * eps + last.

Lemma after_ge0 n : 0 <= after_tables n.
Proof. exact: bound_ge0. Qed.

Lemma scaled_ge0 n : 0 <= n%:R * eps.
Proof. by apply: mulr_ge0 (eps_ge0 _); apply: ler0n. Qed.

Lemma at_most_finish_rounds d n : paired d -> size (p d) = n -> (0 < n)%N -> error d != 0 ->
  at_most (finish_rounds d) (after_tables n).
Proof.
move=> pd sd n0 ne; rewrite /after_tables -sd; apply: at_most_shorten => //.
by rewrite sd n0 leqnSn.
Qed.

Local Notation paired := (@paired R).
Local Notation lengths := (map (fun d : inner => size (p d))).
Local Notation wrong := (fun d : inner => error d != 0).

Lemma at_most_bind_rest_any i ks m next (b : rat) : 0 <= b ->
  (forall ds, Forall paired ds -> lengths ds = map (fun k => len k.2) ks -> at_most (next ds) b) ->
  at_most (bind_rest i ks m next) b.
Proof.
move=> b0; elim: ks i next => [|[l k] ks IH] i next H /=; first by apply: H.
apply: at_most_draw => // ts _; apply: IH => ds pds lds; apply: H; last by rewrite /= size_mkseq lds.
by constructor => //; apply: paired_at_point.
Qed.

Lemma at_most_bind_rest i ks m next l (b : rat) : 0 <= b -> Forall normal2 ks ->
  Exists (fun k => false2 k /\ k.1 = l) ks ->
  (forall ds, Forall paired ds -> lengths ds = map (fun k => len k.2) ks -> Exists wrong ds -> at_most (next ds) b) ->
  at_most (bind_rest i ks m next) ((2 * l)%:R * eps + b).
Proof.
move=> b0 norm bad; elim: bad i next norm => [[l' k] {}ks [bad /= <-]|[l' k] {}ks _ IH] i next norm H /=.
  apply: (@at_most_bind_sum _ _ _ _ chalP l' k (m i)) => //; first by inversion norm.
  move=> ts _ ne; apply: at_most_bind_rest_any => // ds pds lds.
  apply: H; [constructor => //; apply: paired_at_point | by rewrite /= size_mkseq lds | by constructor].
apply: at_most_draw => [|ts _]; first by rewrite addr_ge0 ?scaled_ge0.
apply: IH => [|ds pds lds bds]; first by inversion norm.
apply: H; [constructor => //; apply: paired_at_point | by rewrite /= size_mkseq lds | by apply: List.Exists_cons_tl].
Qed.

Definition same_shape (us : seq unlifted) (ks : seq (nat * claim)) :=
  map (fun k => (k.1, len k.2)) ks = map (fun u => (second u, len (operands u))) us.

Lemma at_most_bind_all_any i us m next (b : rat) : 0 <= b -> Forall normal us ->
  (forall ks, same_shape us ks -> Forall normal2 ks -> at_most (next ks) b) -> at_most (bind_all i us m next) b.
Proof.
move=> b0; elim: us i next => [|u us IH] i next norm H /=; first by apply: H.
apply: at_most_draw => // ts _; apply: IH => [|ks sks nks]; first by inversion norm.
apply: H; first by rewrite /same_shape /= sks.
by constructor => //; inversion norm.
Qed.

Lemma at_most_bind_all i us m next l1 l2 (b : rat) : 0 <= b -> Forall normal us ->
  Exists (fun u => [/\ ~~ stands u, first u = l1 & second u = l2]) us ->
  (forall ks, same_shape us ks -> Forall normal2 ks -> Exists (fun k => false2 k /\ k.1 = l2) ks -> at_most (next ks) b) ->
  at_most (bind_all i us m next) ((2 * l1)%:R * eps + b).
Proof.
move=> b0 norm bad; elim: bad i next norm => [u {}us [bad <- <-]|u {}us _ IH] i next norm H /=.
  apply: (@at_most_bind_first _ _ _ _ chalP u (m i)) => // ts _ bad'.
  apply: at_most_bind_all_any => // [|ks sks nks]; first by inversion norm.
  apply: H; [by rewrite /same_shape /= sks | by constructor => //; inversion norm | by constructor].
apply: at_most_draw => [|ts _]; first by rewrite addr_ge0 ?scaled_ge0.
apply: IH => [|ks sks nks bks]; first by inversion norm.
apply: H; [by rewrite /same_shape /= sks | by constructor => //; inversion norm | by apply: List.Exists_cons_tl].
Qed.

(* The second round, and all after it. *)
Lemma at_most_second_round ks d n l : paired d -> Forall normal2 ks -> (size (p d) + length2 ks)%N = n -> (0 < n)%N ->
  error d != 0 \/ Exists (fun k => false2 k /\ k.1 = l) ks ->
  at_most (second_round ks d) ((2 * l + (0 < size ks)%N)%:R * eps + after_tables n).
Proof.
move=> pd norm sn n0; rewrite /second_round; case: ks norm sn => [|k ks] norm sn bad.
  apply: at_most_le (at_most_finish_rounds pd _ n0 _) _.
  - by rewrite -sn addn0.
  - by case: bad => // bad; inversion bad.
  - by rewrite ler_addr scaled_ge0.
set ks' := k :: ks in norm sn bad *; apply: at_most_receive => m; rewrite natrD mulrDl -addrA.
have tail ds : Forall paired ds -> lengths ds = map (fun k => len k.2) ks' -> error d != 0 \/ Exists wrong ds ->
    at_most (join chal d ds finish_rounds) ((0 < size ks')%N%:R * eps + after_tables n).
  move=> pds lds bds; have -> : size ks' = size ds by rewrite -(size_map (fun k => len k.2)) -lds size_map.
  apply: (at_most_join chalP) => // [|d' pd' sd' ne']; first exact: after_ge0.
  by apply: at_most_finish_rounds => //; rewrite sd' -sn /length2 -lds.
have b0 : 0 <= (0 < size ks')%N%:R * eps + after_tables n by rewrite addr_ge0 ?scaled_ge0 ?after_ge0.
case: bad => [ne|bad].
  apply: at_most_le (_ : at_most _ ((0 < size ks')%N%:R * eps + after_tables n)) _; last by rewrite ler_addr scaled_ge0.
  by apply: at_most_bind_rest_any => // ds pds lds; apply: tail => //; left.
by apply: at_most_bind_rest => // ds pds lds bds; apply: tail => //; right.
Qed.

Lemma same_shape_complete us ks : same_shape us ks ->
  [/\ length2 ks = length1 us,
      (0 < size (filter complete ks))%N = has (fun u => second u == 0%N) us &
      (0 < size (filter (predC complete) ks))%N = has (fun u => second u != 0%N) us].
Proof.
move=> sks; split; last 2 first.
- rewrite size_filter -has_count -[RHS](has_map (fun u => (second u, len (operands u))) (fun x => x.1 == 0%N)).
  by rewrite -sks has_map.
- rewrite size_filter -has_count -[RHS](has_map (fun u => (second u, len (operands u))) (fun x => x.1 != 0%N)).
  by rewrite -sks has_map.
have := congr1 (fun s => sumn (map snd s)) sks; rewrite -!map_comp.
exact.
Qed.

Lemma length2_split ks : (length2 (filter complete ks) + length2 (filter (predC complete) ks))%N = length2 ks.
Proof.
elim: ks => //= k ks IH; rewrite /length2 in IH *; case: ifP => _ /=; rewrite -IH.
  by rewrite addnA.
by rewrite addnCA.
Qed.

Lemma error_at_once k : normal2 k -> complete k -> false2 k -> error (at_once k) != 0.
Proof.
case: k => l k; rewrite /normal2 /complete /false2 /at_once /holds /= => + /eqP l0; rewrite {}l0 /= => w1.
rewrite big_seq1 w1 mul1r error_at_point subr_eq0.
exact.
Qed.

Lemma Exists_filter (T : Type) (P : T -> Prop) (f : pred T) s :
  (forall x, P x -> f x) -> Exists P s -> Exists P (filter f s).
Proof.
move=> Pf; elim=> [x l Px|x l _ IH] /=; first by rewrite Pf //; constructor.
by case: ifP => // _; apply: List.Exists_cons_tl.
Qed.

Lemma Forall_filter (T : Type) (P : T -> Prop) (f : pred T) s : Forall P s -> Forall P (filter f s).
Proof. by elim=> //= x l Px _ IH; case: ifP => // _; constructor. Qed.

(* From the tables of base values on: a false inner product, or a false claim with l1 + l2 <= L variables. *)
Theorem at_most_first_round us d n L : paired d -> Forall normal us -> (size (p d) + length1 us)%N = n -> (0 < n)%N ->
  error d != 0 \/ Exists (fun u => ~~ stands u /\ (first u + second u <= L)%N) us ->
  at_most (first_round us d) ((2 * L + moments us)%:R * eps + after_tables n).
Proof.
move=> pd norm sn n0 bad.
have [[l1 l2] {}bad Lmax] : exists2 l : nat * nat,
    error d != 0 \/ Exists (fun u => [/\ ~~ stands u, first u = l.1 & second u = l.2]) us & (l.1 + l.2 <= L)%N.
  case: bad => [ne|bad]; first by exists (0, 0)%N => //; left.
  suff [l ex Ll] : exists2 l : nat * nat,
      Exists (fun u => [/\ ~~ stands u, first u = l.1 & second u = l.2]) us & (l.1 + l.2 <= L)%N.
    by exists l => //; right.
  elim: bad {norm sn} => [u s [bu Lu]|u s _ [l ex Ll]]; first by exists (first u, second u) => //; constructor.
  by exists l => //; apply: List.Exists_cons_tl.
apply: at_most_le (_ : at_most _ ((2 * (l1 + l2) + moments us)%:R * eps + after_tables n)) _; last first.
  by rewrite ler_add2r ler_wpmul2r ?eps_ge0 // ler_nat leq_add2r leq_mul2l.
move: bad => /= bad {L Lmax}; rewrite /first_round; case: us norm sn bad => [|u us] norm sn bad.
  apply: at_most_le (at_most_finish_rounds pd _ n0 _) _.
  - by rewrite -sn addn0.
  - by case: bad => // bad; inversion bad.
  - by rewrite ler_addr scaled_ge0.
set us' := u :: us in norm sn bad *; apply: at_most_receive => m.
pose j1 := has (fun u => second u == 0%N) us'; pose j2 := has (fun u => second u != 0%N) us'.
have tail ks : same_shape us' ks -> Forall normal2 ks -> error d != 0 \/ Exists (fun k => false2 k /\ k.1 = l2) ks ->
    at_most (join chal d (map at_once (filter complete ks)) (second_round (filter (predC complete) ks)))
      (j1%:R * eps + ((2 * l2 + j2)%:R * eps + after_tables n)).
  move=> sks nks bks; have [l2E j1E j2E] := same_shape_complete sks.
  have pds : Forall paired (map at_once (filter complete ks)).
    by elim: (filter complete ks) => //= k ks' IH; constructor => //; apply: paired_at_point.
  have lds : lengths (map at_once (filter complete ks)) = map (fun k => len k.2) (filter complete ks).
    by rewrite -map_comp; apply: eq_map => k /=; rewrite size_mkseq.
  have second d' : paired d' -> size (p d') = (size (p d) + sumn (lengths (map at_once (filter complete ks))))%N ->
      error d' != 0 \/ Exists (fun k => false2 k /\ k.1 = l2) (filter (predC complete) ks) ->
      at_most (second_round (filter (predC complete) ks) d') ((2 * l2 + j2)%:R * eps + after_tables n).
    move=> pd' sd' bd'; rewrite /j2 -j2E; apply: at_most_second_round => //; first exact: Forall_filter.
    by rewrite sd' lds -addnA length2_split l2E.
  have b0 k : 0 <= k%:R * eps + after_tables n by rewrite addr_ge0 ?scaled_ge0 ?after_ge0.
  have [l20|l20] := eqVneq l2 0%N.
    rewrite /j1 -j1E -(size_map at_once); apply: (at_most_join chalP) => //.
      case: bks => [ne|bks]; [by left | right].
      have : Exists (fun k => false2 k /\ k.1 = l2) (filter complete ks).
        by apply: Exists_filter bks => k [_ e]; rewrite /complete e l20.
      have := Forall_filter complete nks; have : all complete (filter complete ks) by apply: filter_all.
      move=> + + bad'; elim: bad' => /= [k ks' [fk _]|k ks' _ IH] /andP [ck cks] nk; inversion nk; subst.
        by constructor; apply: error_at_once.
      by apply: List.Exists_cons_tl; apply: IH.
    by move=> d' pd' sd' ne'; apply: second => //; left.
  apply: at_most_le (_ : at_most _ (j1%:R * eps + ((2 * l2 + j2)%:R * eps + after_tables n))) _ => //.
  case: bks => [ne|bks].
    rewrite /j1 -j1E -(size_map at_once); apply: (at_most_join chalP) => //; first by left.
    by move=> d' pd' sd' ne'; apply: second => //; left.
  apply: at_most_le (_ : at_most _ ((2 * l2 + j2)%:R * eps + after_tables n)) _; last by rewrite ler_addr scaled_ge0.
  apply: at_most_draw => // rhos _; apply: second.
  - exact: paired_push_all.
  - by rewrite size_push_all.
  - by right; apply: Exists_filter bks => k [_ e]; rewrite /= /complete e.
have -> : (2 * (l1 + l2) + moments us')%:R * eps + after_tables n =
    (2 * l1)%:R * eps + (j1%:R * eps + ((2 * l2 + j2)%:R * eps + after_tables n)).
  have -> : (2 * (l1 + l2) + moments us' = 2 * l1 + (j1 + (2 * l2 + j2)))%N.
    by rewrite mulnDr -addnA; congr (_ + _)%N; rewrite addnCA.
  by rewrite 2!natrD 2!mulrDl -!addrA.
have b0 : 0 <= j1%:R * eps + ((2 * l2 + j2)%:R * eps + after_tables n) by apply: addr_ge0 (scaled_ge0 _) (addr_ge0 (scaled_ge0 _) (after_ge0 _)).
case: bad => [ne|bad].
  apply: at_most_le (_ : at_most _ (j1%:R * eps + ((2 * l2 + j2)%:R * eps + after_tables n))) _; last by rewrite ler_addr scaled_ge0.
  by apply: at_most_bind_all_any => // ks sks nks; apply: tail => //; left.
by apply: (@at_most_bind_all _ _ _ _ _ l2) => // ks sks nks bks; apply: tail => //; right.
Qed.

End Rounds.
