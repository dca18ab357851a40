//! A client that is written from the wire format alone.

use std::time::Duration;

use mpc_core::Role;
use mpc_core::network::endpoint::caller;
use mpc_core::network::identity::Identity;
use mpc_core::network::reach::connect;
use mpc_core::network::stream;
use mpc_core::ring::{Boolean, Domain, Tensor, fixed};
use mpc_core::session::Id;
use mpc_core::sharing::{InputRange, Share, reconstruct, share_ranged};
use mpc_core::wire::cluster::Cluster;
use mpc_core::wire::codec::MAX_ENCODED;
use mpc_core::wire::message::{
    Action, Change, Code, Evaluate, Question, Refusal, Reply, Request, Stamp, Status, Versioned,
};
use mpc_core::wire::share::encode_dealt;
use quinn::{Connection, Endpoint, RecvStream, SendStream};

use super::TestModel;

/// A client with a connection to each party.
pub(crate) struct Client {
    _endpoint: Endpoint,
    pub(crate) connections: [Connection; 3],
}

impl Client {
    pub(super) async fn connect(cluster: &Cluster, identity: &Identity) -> mpc_core::Result<Self> {
        let endpoint = caller()?;
        let mut connections = Vec::new();
        for role in Role::ALL {
            connections.push(connect(&endpoint, identity, role, &cluster.parties[role.index()]).await?);
        }
        Ok(Self { _endpoint: endpoint, connections: connections.try_into().unwrap() })
    }

    /// Opens a conversation with one party.
    pub(crate) async fn ask(&self, role: Role, request: &Request) -> Conversation {
        let mut conversation = self.open(role).await;
        stream::send(&mut conversation.send, &Versioned::new(request)).await.unwrap();
        conversation
    }

    /// Opens a stream to one party.
    pub(crate) async fn open(&self, role: Role) -> Conversation {
        let (send, recv) = self.connections[role.index()].open_bi().await.unwrap();
        Conversation { send, recv }
    }

    /// Opens the same conversation with all parties.
    pub(crate) async fn ask_all(&self, request: &Request) -> [Conversation; 3] {
        [self.ask(Role::P0, request).await, self.ask(Role::P1, request).await, self.ask(Role::P2, request).await]
    }

    /// Asks until every party's status is as wished.
    pub(crate) async fn until(&self, wished: impl Fn(&Status) -> bool) {
        for role in Role::ALL {
            loop {
                let reply = self.ask(role, &Request::Status).await.reply().await;
                let Reply::Status(status) = reply else { panic!("{reply:?}") };
                if wished(&status) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    /// Publishes `model` everywhere; returns the number of the change.
    pub(crate) async fn publish(&self, model: &TestModel) -> u64 {
        for role in Role::ALL {
            assert_eq!(self.upload(role, model).await, Reply::Stored);
        }
        let replies = self.change(Action::Activate { publication: model.publication, forget_gallery: false }).await;
        let Reply::Changed { revision } = replies[0] else { panic!("{replies:?}") };
        assert_eq!(replies, [(); 3].map(|()| Reply::Changed { revision }));
        revision
    }

    /// Sends one party its share of `model`.
    pub(crate) async fn upload(&self, role: Role, model: &TestModel) -> Reply {
        let share = encode_dealt(&model.dealt[role.index()]);
        let mut conversation = self.ask(role, &Request::Upload(model.upload(role))).await;
        match conversation.reply().await {
            Reply::Ready { have } => conversation.send.write_all(&share[have as usize..]).await.unwrap(),
            other => return other,
        }
        conversation.reply().await
    }

    /// Each party's reply to a change.
    pub(crate) async fn change(&self, action: Action) -> [Reply; 3] {
        let request = Request::Change(Change { stamp: Stamp::fresh().unwrap(), action });
        let [mut p0, mut p1, mut p2] = self.ask_all(&request).await;
        [p0.reply().await, p1.reply().await, p2.reply().await]
    }

    /// The publications that each party has in service for this client.
    pub(crate) async fn in_service(&self) -> [Vec<Id>; 3] {
        let mut lists = [const { Vec::new() }; 3];
        for (list, conversation) in lists.iter_mut().zip(&mut self.ask_all(&Request::Models).await) {
            let Reply::Models { models, .. } = conversation.reply().await else { panic!("no list of models") };
            list.extend(models.iter().map(|model| model.publication));
        }
        lists
    }

    /// The label of each sample.
    pub(crate) async fn classify(&self, model: &TestModel, samples: &[[f64; 4]]) -> Result<Vec<u64>, Reply> {
        let mut conversations = self.begin(model, samples.len()).await?;
        send_input(&mut conversations, samples, &Role::ALL).await;
        finish(conversations, samples.len()).await
    }

    /// Asks about so many samples; all three parties accept.
    pub(crate) async fn begin(&self, model: &TestModel, samples: usize) -> Result<[Conversation; 3], Reply> {
        self.begin_with(model.classify(samples)).await
    }

    /// As [`Client::begin`], with any question.
    pub(crate) async fn begin_with(&self, request: Evaluate) -> Result<[Conversation; 3], Reply> {
        let mut conversations = self.ask_all(&Request::Evaluate(request)).await;
        let mut session = None;
        for conversation in &mut conversations {
            match conversation.reply().await {
                Reply::Accepted { session: name } => assert_eq!(*session.get_or_insert(name), name),
                other => return Err(other),
            }
        }
        Ok(conversations)
    }
}

/// A gallery, as all three parties report it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gallery {
    pub(crate) persons: Vec<String>,
    pub(crate) digest: Id,
    /// The places whose template each party lacks.
    pub(crate) lacking: [Vec<u32>; 3],
}

impl Client {
    /// Who is enrolled, or the first refusal.
    pub(crate) async fn gallery(&self, model: &TestModel) -> Result<Gallery, Reply> {
        let (mut lists, mut lacks) = (Vec::new(), [const { Vec::new() }; 3]);
        let conversations = self.ask_all(&Request::Gallery { publication: model.publication }).await;
        for (mut conversation, lacks) in conversations.into_iter().zip(&mut lacks) {
            match conversation.reply().await {
                Reply::Gallery { persons, digest, lacking } => {
                    lists.push((persons, digest));
                    *lacks = lacking;
                }
                other => return Err(other),
            }
        }
        assert!(lists.windows(2).all(|pair| pair[0] == pair[1]), "{lists:?}");
        let (persons, digest) = lists.swap_remove(0);
        Ok(Gallery { persons, digest, lacking: lacks })
    }

    /// Has the parties keep the template of some samples; returns the session's name.
    pub(crate) async fn keep(&self, model: &TestModel, samples: &[[f64; 4]]) -> Result<Id, Reply> {
        let request = Evaluate { question: Question::Enrol, ..model.classify(samples.len()) };
        let mut session = Id::default();
        let mut conversations = self.ask_all(&Request::Evaluate(request)).await;
        for conversation in &mut conversations {
            match conversation.reply().await {
                Reply::Accepted { session: name } => session = name,
                other => return Err(other),
            }
        }
        send_input(&mut conversations, samples, &Role::ALL).await;
        for conversation in &mut conversations {
            match conversation.reply().await {
                Reply::Kept { meter } => assert!(meter.rounds > 0),
                other => return Err(other),
            }
        }
        Ok(session)
    }

    /// Enrols a person with a kept template; returns each party's reply.
    pub(crate) async fn enrol(&self, model: &TestModel, person: &str, template: Id) -> [Reply; 3] {
        self.change(Action::Enrol { publication: model.publication, person: person.into(), template }).await
    }

    /// The place of the person that each sample is of.
    pub(crate) async fn find(&self, model: &TestModel, gallery: Id, samples: &[[f64; 4]]) -> Result<Vec<u64>, Reply> {
        let question = Question::Who { gallery };
        let mut conversations = self.begin_with(Evaluate { question, ..model.classify(samples.len()) }).await?;
        send_input(&mut conversations, samples, &Role::ALL).await;
        finish(conversations, samples.len()).await
    }
}

/// The labels of `samples` samples, once the input is sent.
pub(crate) async fn finish(conversations: [Conversation; 3], samples: usize) -> Result<Vec<u64>, Reply> {
    output::<Boolean>(conversations, &[samples]).await
}

/// An output of that shape, once everything is sent.
pub(crate) async fn output<D: Domain>(
    mut conversations: [Conversation; 3],
    expected: &[usize],
) -> Result<Vec<u64>, Reply> {
    let mut outputs = Vec::new();
    for Conversation { recv, .. } in &mut conversations {
        match stream::receive(recv, MAX_ENCODED).await.unwrap() {
            Reply::Output { shape, meter } => {
                assert!(shape.iter().map(|&side| side as usize).eq(expected.iter().copied()), "{shape:?}");
                assert!(meter.rounds > 0 && meter.bytes_sent > 0);
                let own = stream::receive_words(recv, expected).await.unwrap();
                let next = stream::receive_words(recv, expected).await.unwrap();
                outputs.push(Share::<D, u64>::new(own, next));
            }
            other => return Err(other),
        }
    }
    Ok(reconstruct(&outputs.try_into().unwrap()).unwrap().into_iter().collect())
}

/// Sends the input share to some of the parties.
pub(crate) async fn send_input(conversations: &mut [Conversation; 3], samples: &[[f64; 4]], to: &[Role]) {
    let words = samples.iter().flatten().map(|&x| fixed::encode(x, 16).unwrap()).collect();
    let input = Tensor::from_shape_vec(&[samples.len(), 1, 2, 2][..], words).unwrap();
    let range = InputRange::holding(2.0, 16);
    let dealt = share_ranged(&input, range).unwrap();
    for role in to {
        stream::send_dealt(&mut conversations[role.index()].send, &dealt[role.index()], range.bytes()).await.unwrap();
    }
}

/// One stream.
pub(crate) struct Conversation {
    pub(crate) send: SendStream,
    pub(crate) recv: RecvStream,
}

impl Conversation {
    pub(crate) async fn reply(&mut self) -> Reply {
        stream::receive(&mut self.recv, MAX_ENCODED).await.expect("a reply")
    }

    /// A refusal.
    pub(crate) async fn refusal(&mut self) -> Refusal {
        match self.reply().await {
            Reply::Refused(refusal) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// The reason of a refusal with that code.
    pub(crate) async fn refused(&mut self, code: Code) -> String {
        let refusal = self.refusal().await;
        assert_eq!(refusal.code, code, "{refusal}");
        refusal.reason
    }

    /// The reason of a failure.
    pub(crate) async fn failure(&mut self) -> String {
        match self.reply().await {
            Reply::Failed { reason } => reason,
            other => panic!("did not fail: {other:?}"),
        }
    }
}
