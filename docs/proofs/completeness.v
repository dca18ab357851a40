(* A check that always refused would be sound too. This one accepts, for every challenge, where the claims hold and the tables are true. *)

From mathcomp Require Import all_ssreflect all_algebra.
From Check Require Import calc exceptional game table claims compression rounds batch.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory.
Local Open Scope ring_scope.

Section Complete.

Variables (C : finType) (R : comUnitRingType) (chal : C -> R) (levels : nat -> nat).
Variables (B : comRingType) (iota : {rmorphism B -> R}) (L : nat) (beta : nat -> R).

Local Notation message := (message R).
Local Notation inner := (inner R).
Local Notation claim := (claim R).
Local Notation unlifted := (unlifted R).
Local Notation paired := (@paired R).
Local Notation normal := (@normal R).

(** True tables *)

Lemma eq_interp_size (T U : seq digit -> R) ts : (forall e, size e = size ts -> T e = U e) -> interp T ts = interp U ts.
Proof.
elim: ts T U => [|t ts IH] T U TU /=; first exact: TU.
by apply: IH => e se; rewrite /fold3 !TU //= se.
Qed.

Lemma to_cubeP e a : to_cube e = Some a -> e = on_cube a.
Proof.
elim: e a => [|[] e IH] a /=; first by case=> <-.
- by case: (to_cube e) IH => //= b IH [<-]; rewrite (IH b).
- by case: (to_cube e) IH => //= b IH [<-]; rewrite (IH b).
- by [].
Qed.

Lemma from_sum_true l (w : seq bool -> R) U v : w (origin l) = 1 ->
  \sum_(a <- cube l) w a * U (on_cube a) = v -> from_sum l w U v =1 U.
Proof.
move=> w1 <- e; rewrite /from_sum; case E: (to_cube e) => [a|] //; case: eqP => // a0.
by rewrite (to_cubeP E) a0 cube_origin big_cons w1 mul1r addrK.
Qed.

Definition table_of (k : claim) e := \sum_(i < len k) ext (left k i) e * ext (right k i) e.

Lemma bind_sum_true l (k : claim) ts : weight k (origin l) = 1 -> holds l k -> error (bind_sum l k (table_of k) ts) = 0.
Proof.
move=> w1 /eqP hk; rewrite error_at_point (@eq_interp _ _ (table_of k)); last first.
  apply: from_sum_true => //; rewrite -hk; apply: eq_bigr => a _; congr (_ * _).
  by apply: eq_bigr => i _; rewrite !ext_on_cube.
rewrite interp_sum; under [X in _ - X]eq_bigr do rewrite interp_product.
by rewrite subrr.
Qed.

Lemma bind_first_true (u : unlifted) ts : stands u -> size ts = first u -> holds (second u) (bind_first u (first_table u) ts).
Proof.
move=> st sts; rewrite /holds /= (@eq_interp_size _ (first_table u)); last first.
  move=> e; rewrite sts => se; move: st; rewrite /stands /first_received; case: (known u) => [rows|v].
    move=> /allP st; rewrite /from_rows; case E: (to_cube e) => [a|] //.
    have eE := to_cubeP E; rewrite eE; apply/esym/eqP/st; rewrite mem_cube -se eE size_map; exact: eqxx.
  by move=> /eqP st; apply: from_sum_true => //; rewrite -st; apply: eq_bigr => a _; rewrite mul1r.
by rewrite interp_first_table.
Qed.

(* A message with these tables, from entry i on. *)
Fixpoint carries (i : nat) (s : seq (seq digit -> R)) (m : message) : Prop :=
  if s is T :: s' then m i = T /\ carries i.+1 s' m else True.

Lemma carries_ext i s m m' : (forall n, (i <= n)%N -> m n = m' n) -> carries i s m' -> carries i s m.
Proof.
elim: s i => //= T s IH i mm [mi ms]; split; first by rewrite mm.
by apply: IH ms => n i_n; apply: mm; apply: ltnW.
Qed.

Lemma carries_exists i s : exists m, carries i s m.
Proof.
elim: s i => [|T s IH] i /=; first by exists (fun _ _ => 0).
have [m ms] := IH i.+1; exists (fun n => if n == i then T else m n); rewrite eqxx; split=> //.
by apply: carries_ext ms => n i_n; rewrite gtn_eqF.
Qed.

(** The rounds *)

Definition right_ (d : inner) := error d = 0.

Lemma passable_finish (d : inner) : paired d -> (size (p d) <= 1)%N -> error d = 0 -> passable (finish chal d).
Proof.
rewrite /finish /error /claims.paired; case: d => [[|p0 []] q v] //= sq _ e0.
exists (fun _ _ => 0) => x _; rewrite !mulr0 !addr0.
by move: e0; rewrite big_ord1 /= => /eqP; rewrite subr_eq0; case: (q) sq.
Qed.

Lemma passable_shorten fuel (d : inner) : paired d -> error d = 0 -> passable (shorten chal levels fuel d).
Proof.
elim: fuel d => [|fuel IH] d pd e0 /=; case: leqP => p1 //; try exact: passable_finish.
exists (fun _ => table_of (cut (levels (size (p d))) d)); apply: passable_draw => ts _.
apply: IH; first exact: paired_at_point.
by apply: bind_sum_true => //; rewrite holds_cut // e0.
Qed.

Lemma passable_join (d : inner) ds next : paired d -> Forall paired ds -> error d = 0 -> Forall right_ ds ->
  (forall d', paired d' -> error d' = 0 -> passable (next d')) -> passable (join chal d ds next : game C message).
Proof.
move=> pd pds e0 eds H; apply: passable_draw => rhos _; apply: H; first exact: paired_push_all.
rewrite error_push_all // e0 add0r big1 // => i _.
suff -> : nth 0 (map (@error R) ds) i = 0 by rewrite mulr0.
elim: eds (i : nat) => [|d' ds' ed _ IH] [|j] //=; exact: IH.
Qed.

Definition true2 (k : nat * claim) : Prop := holds k.1 k.2.

Lemma passable_bind_rest i ks m next : carries i (map (fun k : nat * claim => table_of k.2) ks) m ->
  Forall (@normal2 R) ks -> Forall true2 ks ->
  (forall ds, Forall paired ds -> Forall right_ ds -> passable (next ds)) -> passable (bind_rest chal i ks m next).
Proof.
elim: ks i next => [|[l k] ks IH] i next cm nks tks H /=; first by apply: H.
case: cm => mi ms; inversion nks; inversion tks; subst.
apply: passable_draw => ts _; apply: IH => // ds pds eds; apply: H; constructor => //; first exact: paired_at_point.
by rewrite mi; apply: bind_sum_true.
Qed.

Lemma passable_second_round ks (d : inner) : paired d -> error d = 0 -> Forall (@normal2 R) ks -> Forall true2 ks ->
  passable (second_round chal levels ks d).
Proof.
move=> pd e0 nks tks; rewrite /second_round.
have next d' : paired d' -> error d' = 0 -> passable (finish_rounds chal levels d') by exact: passable_shorten.
case: ks nks tks => [|k ks] nks tks; first exact: next.
have [m cm] := carries_exists 0 (map (fun k : nat * claim => table_of k.2) (k :: ks)).
exists m; apply: passable_bind_rest => // ds pds eds; exact: passable_join.
Qed.

Lemma passable_bind_all i us m next : carries i (map (@first_table R) us) m ->
  Forall normal us -> Forall (fun u => stands u) us ->
  (forall ks, Forall (@normal2 R) ks -> Forall true2 ks -> passable (next ks)) -> passable (bind_all chal i us m next).
Proof.
elim: us i next => [|u us IH] i next cm nus tus H /=; first by apply: H.
case: cm => mi ms; inversion nus; inversion tus; subst.
apply: passable_draw => ts sts; apply: IH => // ks nks tks; apply: H; constructor => //.
by rewrite mi; apply: bind_first_true.
Qed.

Lemma right_at_once k : normal2 k -> complete k -> true2 k -> right_ (at_once k).
Proof.
case: k => l k; rewrite /normal2 /complete /true2 /at_once /holds /right_ /= => + /eqP l0; rewrite {}l0 /= => w1.
by rewrite big_seq1 w1 mul1r error_at_point => /eqP <-; apply: subrr.
Qed.

Theorem passable_first_round us (d : inner) : paired d -> error d = 0 -> Forall normal us -> Forall (fun u => stands u) us ->
  passable (first_round chal levels us d).
Proof.
move=> pd e0 nus tus; rewrite /first_round.
case: us nus tus => [|u us] nus tus; first exact: passable_shorten.
have [m cm] := carries_exists 0 (map (@first_table R) (u :: us)).
exists m; apply: passable_bind_all => // ks nks tks.
apply: passable_join => //; last first.
- by move=> d' pd' e0'; apply: passable_second_round => //; apply: Forall_filter.
- elim: ks nks tks => //= k ks IH nks tks; inversion nks; inversion tks; subst.
  by case: ifP => [ck|_]; [constructor; [apply: right_at_once | apply: IH] | apply: IH].
- by elim: (filter (@complete R) ks) => //= k ks' IH; constructor => //; apply: paired_at_point.
Qed.

(** The batch *)

Lemma off_true e k : size (z e) = size (x e) -> true_elementwise L e -> off iota L beta e k = 0.
Proof.
move=> sz /forallP te; rewrite /off big1 // => b _.
suff -> : sum_at L e k b = value_at (z e) k b by rewrite subrr rmorph0 mulr0.
have [k_n|n_k] := ltnP k (size (x e)); first by have /forallP /(_ b) /eqP := te (Ordinal k_n).
rewrite /sum_at big1 => [|t _]; first by rewrite /value_at nth_default // sz.
by rewrite /value_at [nth _ (x e) k]nth_default // mul0r.
Qed.

Lemma passable_columns l1 l2 e next : size (z e) = size (x e) -> true_elementwise L e ->
  (forall u, normal u -> stands u -> passable (next u)) -> passable (columns chal iota L beta l1 l2 e next).
Proof.
move=> sz te H; apply: passable_draw => w _; apply: passable_draw => u _; apply: H.
  by rewrite /rounds.normal /= number_origin.
rewrite /stands /=; apply/allP => a; rewrite mem_cube => /eqP sa; rewrite -subr_eq0 /first_table /=.
under eq_bigr do under eq_bigr do rewrite !ext_cat !ext_on_cube.
have := @columns_error R B iota L beta l1 l2 e w u a sa; rewrite /= => ->.
have V0 j : \sum_(g < block (l1 + l2) (size (x e))) nth 0 w g *
    off iota L beta e ((number a * 2 ^ l2 + j) * block (l1 + l2) (size (x e)) + g) = 0.
  by rewrite big1 // => g _; rewrite off_true ?mulr0.
by rewrite V0 add0r big1 ?eqxx // => j _; rewrite V0 mulr0.
Qed.

Lemma error_compressed_true t r s g : (g < groups t)%N -> true_product t -> error (compressed iota t r s g) = 0.
Proof.
move=> g_n tt; rewrite error_compressed big1 // => i _; rewrite big1 // => j _.
rewrite entry_true ?mulr0 ?mul0r //.
apply: (@leq_trans ((g.+1) * rows t)); first by rewrite mulSn addnC ltn_add2r.
by rewrite leq_mul2r g_n orbT.
Qed.

Lemma passable_compress_all ts us (d : inner) next : Forall (proper 6) ts -> all (@true_product B) ts ->
  paired d -> error d = 0 -> Forall normal us -> Forall (fun u => stands u) us ->
  (forall us d, paired d -> error d = 0 -> Forall normal us -> Forall (fun u => stands u) us -> passable (next us d)) ->
  passable (compress_all chal iota ts us d next).
Proof.
elim: ts us d => [|t ts IH] us d prop tts pd e0 nus sus H /=; first exact: H.
case/andP: tts => tt tts; inversion prop as [|t' ts' pt pts]; subst.
apply: passable_draw => r _; apply: passable_draw => s _; rewrite /add.
case E : (few t) => [[l1 l2]|]; apply: IH => //=.
- by apply: Forall_rcons.
- apply: Forall_rcons => //; rewrite stands_cut; last by rewrite /claims.paired !size_mkseq.
  by rewrite error_compressed_true //; move: pt; rewrite /proper E => - [-> _].
- apply: paired_push_all => //.
  by elim: (seq.iota _ _) => //= g gs IHg; constructor => //; rewrite /claims.paired !size_mkseq.
rewrite error_all_groups // e0 add0r big1 // => j _.
by rewrite big1 ?mul0r // => i _; rewrite entry_true ?mulr0.
Qed.

Theorem complete_check l1 l2 e ts : Forall (proper 6) ts -> size (z e) = size (x e) ->
  true_elementwise L e -> all (@true_product B) ts -> passable (check chal levels iota L beta l1 l2 e ts).
Proof.
move=> prop sz te tts; have e0 : error (nothing R) = 0 by rewrite /error /= big_ord0 subr0.
rewrite /check; case: ifP => _.
  apply: passable_compress_all => // us d pd ed nus sus; exact: passable_first_round.
apply: passable_columns => // u nu su; apply: passable_compress_all => //; try by constructor.
by move=> us d pd ed nus sus; apply: passable_first_round.
Qed.

End Complete.
