//! From a request to its response.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use hyper::{Request, StatusCode};
use mpc_client::answer::{Enrolled, InputResult, ModelList, Outcome, Persons, Removed};
use mpc_client::input::{self, Prepared};
use mpc_client::preprocess;
use mpc_client::{Answer, Client, Error, Input, Model, Question};
use mpc_core::model::manifest::VERDICTS;
use serde::Serialize;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::guard::Guard;
use super::metrics::Metrics;
use super::multipart;
use super::reconnecting::Reconnecting;
use super::reply::{self, Failure, Reply};
use super::routes::{self, Operation, Query, QuestionKind};
use super::websocket::Publisher;
use super::{Options, Servers};

/// Time limit for the servers to show that they are alive.
const ALIVE: Duration = Duration::from_secs(5);

const PAGE: &str = include_str!("page.html");
const OPEN_API: &str = include_str!("openapi.json");

/// The placeholder in the page for a number unique to a response: browsers ignore scripts and styles without it.
const NONCE: &str = "{{nonce}}";

/// The state that requests share.
pub(crate) struct Gateway<S> {
    pub(crate) servers: Reconnecting<S>,
    guard: Guard,
    metrics: Metrics,
    publisher: Option<Publisher>,
    /// Limits the requests being worked on.
    places: Semaphore,
    max_bytes: u64,
    analyzer: String,
}

/// A request with a place, its files read.
struct Work<'a> {
    operation: Operation,
    names: &'a [String],
    query: Query,
    files: Vec<Input>,
    start: Instant,
}

impl<S: Servers> Gateway<S> {
    pub(crate) fn new(
        servers: Reconnecting<S>,
        guard: Guard,
        metrics: Metrics,
        publisher: Option<Publisher>,
        options: Options,
    ) -> Self {
        let places = Semaphore::new(options.concurrent.into());
        let (max_bytes, analyzer) = (options.max_mib << 20, options.analyzer_id);
        Self { servers, guard, metrics, publisher, places, max_bytes, analyzer }
    }

    /// Time limit of a question.
    pub(crate) fn timeout(&self) -> Duration {
        self.servers.timeout()
    }

    /// Answers any request.
    pub(crate) async fn serve(&self, request: Request<Incoming>) -> Result<Reply, Infallible> {
        let start = Instant::now();
        let (route, result) = match routes::find(request.method(), request.uri().path()) {
            Ok((route, names)) => (route.template, self.route(route.operation, &names, request, start).await),
            Err(failure) => ("other", Err(failure)),
        };
        let mut reply = result.unwrap_or_else(Failure::reply);
        let headers = reply.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        self.metrics.ended(route, reply.status(), start.elapsed());
        Ok(reply)
    }

    async fn route(
        &self,
        operation: Operation,
        names: &[String],
        request: Request<Incoming>,
        start: Instant,
    ) -> Result<Reply, Failure> {
        self.guard.admit(request.headers(), operation.open())?;
        match operation {
            Operation::Page => return page(),
            Operation::OpenApi => return Ok(reply::content("application/json", OPEN_API)),
            Operation::Metrics => return self.metrics.page(),
            Operation::Health => return self.health().await,
            _ => {}
        }
        let busy = |_| Failure::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "too many requests at once; come back");
        let _place = self.places.try_acquire().map_err(busy)?;
        let query = Query::parse(request.uri().query(), operation)?;
        let files = match operation {
            Operation::Models | Operation::Persons | Operation::Remove => Vec::new(),
            _ => multipart::files(request, self.max_bytes).await?,
        };
        let work = Work { operation, names, query, files, start };
        let late = |_| Failure::from(Error::Timeout(self.timeout()));
        timeout(self.timeout(), self.work(work)).await.map_err(late)?
    }

    /// A connected client.
    async fn client(&self) -> Result<Rc<Client>, Failure> {
        self.servers.client().await.map_err(|error| Failure::from(error).at(StatusCode::SERVICE_UNAVAILABLE))
    }

    async fn health(&self) -> Result<Reply, Failure> {
        let asked = timeout(ALIVE, async { Ok(self.client().await?.status().await?) });
        let status = asked.await.unwrap_or_else(|_| Err(Error::Timeout(ALIVE).into()));
        status.map_err(|failure: Failure| failure.at(StatusCode::SERVICE_UNAVAILABLE))?;
        found(&json!({ "status": "ready" }))
    }

    /// Asks the servers. If one was lost, the next request connects again.
    async fn work(&self, work: Work<'_>) -> Result<Reply, Failure> {
        let client = self.client().await?;
        self.answer(&client, work).await.map_err(|failure| match client.connected() {
            true => failure,
            false => failure.at(StatusCode::SERVICE_UNAVAILABLE),
        })
    }

    async fn answer(&self, client: &Client, mut work: Work<'_>) -> Result<Reply, Failure> {
        if work.operation == Operation::Models {
            return found(&ModelList::from(client.models().await?));
        }
        if work.operation == Operation::Filter {
            return self.filter(client, work).await;
        }
        let model = client.model(&work.query.model).await?;
        let inputs = prepare(&model, std::mem::take(&mut work.files)).await?;
        match work.operation {
            Operation::Ask { command, question } => {
                let question = match question {
                    QuestionKind::Label => Question::Label,
                    QuestionKind::Same => Question::Same,
                    QuestionKind::Who => Question::Who,
                    QuestionKind::Is => Question::Is(known(client, &model, work.query.id()?).await?),
                };
                found(&self.ask(client, &model, command, question, inputs, &work).await?)
            }
            Operation::Speakers => {
                let answer = self.ask(client, &model, "verify-speaker", Question::Same, inputs, &work).await?;
                self.speakers(work.names, &answer)
            }
            Operation::Enrol => {
                let id = work.query.id()?;
                let inputs = input::all(inputs)?;
                let evaluation = client.enrol(&model, id, &inputs, work.query.security, self.timeout()).await?;
                found(&Enrolled::new(&model, id, inputs.len(), &evaluation, work.start.elapsed()))
            }
            Operation::Persons => found(&Persons::new(&model, client.gallery(&model).await?)),
            _ => {
                let id = known(client, &model, &work.names[0]).await?;
                client.remove(&model, id).await?;
                found(&Removed::new(&model, id))
            }
        }
    }

    /// The answer about the files, unless none could be used.
    async fn ask(
        &self,
        client: &Client,
        model: &Model,
        command: &'static str,
        question: Question<'_>,
        inputs: Vec<Prepared>,
        work: &Work<'_>,
    ) -> Result<Answer, Failure> {
        let answer = client.answer(command, model, question, inputs, work.query.security, self.timeout()).await?;
        let reasons = answer.results.iter().map(|InputResult { input, outcome, .. }| match outcome {
            Outcome::Error(reason) => Some(format!("{input}: {reason}")),
            Outcome::Label(_) => None,
        });
        match reasons.collect::<Option<Vec<_>>>() {
            Some(reasons) => Err(Error::Input(reasons.join("; ")).into()),
            None => Ok(answer.after(work.start.elapsed())),
        }
    }

    /// A filtered picture, as PNG.
    async fn filter(&self, client: &Client, Work { query, files, .. }: Work<'_>) -> Result<Reply, Failure> {
        let kernel = query.kernel()?;
        let Ok([file]) = <[Input; 1]>::try_from(files) else {
            return Err(Failure::usage("one picture at a time is filtered"));
        };
        let picture = blocking(move || file.picture()).await?;
        let filtered = client.filter(&kernel, &picture, query.security, self.timeout(), |_, _| ()).await?;
        let png = blocking(move || filtered.picture.to_png()).await?;
        Ok(reply::content("image/png", png))
    }

    /// The answer about two recordings in the format of the SIFIS-Home project, for the caller and for the WebSocket.
    fn speakers(&self, names: &[String], answer: &Answer) -> Result<Reply, Failure> {
        let ([first, second, requestor_id, requestor_type, request_id], [result]) = (names, &answer.results[..]) else {
            return Err(Error::Internal("two recordings have one answer".into()).into());
        };
        let same = matches!(&result.outcome, Outcome::Label(label) if label == VERDICTS[0]);
        let answer = json!({ "RequestPostTopicUUID": {
            "topic_name": "SIFIS:Privacy_Aware_Speaker_Verification_Results",
            "topic_uuid": "Speaker_Verification_Results",
            "value": {
                "description": "Whether two recordings are of the same speaker, by three servers that hear neither",
                "requestor_id": requestor_id,
                "requestor_type": requestor_type,
                "request_id": request_id,
                "analyzer_id": self.analyzer,
                "analysis_id": random()?,
                "connected": true,
                "first_audio_file": first,
                "second_audio_file": second,
                "Cosine Similarity": result.score,
                "Result": if same { "Same Speaker" } else { "Different Speaker" },
            },
        }});
        if let Some(publisher) = &self.publisher {
            publisher.publish(&answer);
        }
        found(&answer)
    }
}

/// The files as inputs of the model.
async fn prepare(model: &Model, files: Vec<Input>) -> Result<Vec<Prepared>, Failure> {
    let model = model.clone();
    let prepare = move |file: Input| file.prepare(&model, preprocess::Options::default());
    Ok(blocking(move || Ok(files.into_iter().map(prepare).collect())).await?)
}

/// Runs work that would hold up the network on a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> mpc_client::Result<T> + Send + 'static,
) -> mpc_client::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::Internal(e.to_string()))?
}

/// The name `id`, if somebody is enrolled under it.
async fn known<'a>(client: &Client, model: &Model, id: &'a str) -> Result<&'a str, Failure> {
    let persons = client.gallery(model).await?.persons;
    let unknown = || Error::UnknownPerson { name: id.to_owned(), anybody: !persons.is_empty() };
    Ok(persons.iter().any(|person| person == id).then_some(id).ok_or_else(unknown)?)
}

fn found(answer: &impl Serialize) -> Result<Reply, Failure> {
    Ok(reply::json(StatusCode::OK, answer))
}

/// 128 random bits.
fn random() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    mpc_core::random::fill(&mut bytes).map_err(Error::from)?;
    Ok(HEXLOWER.encode(&bytes))
}

/// The page for people, which may run its own script, talk to this gateway, and nothing else.
fn page() -> Result<Reply, Failure> {
    let nonce = random()?;
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src blob:; \
         media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let mut reply = reply::content("text/html; charset=utf-8", PAGE.replace(NONCE, &nonce));
    let policy = HeaderValue::try_from(policy).map_err(|e| Error::Internal(e.to_string()))?;
    reply.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    Ok(reply)
}
