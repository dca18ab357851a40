//! The routes: which path and method lead to which operation.

use std::borrow::Cow;

use hyper::{Method, StatusCode};
use mpc_client::Mode;
use mpc_client::filter::Stencil;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error;

use super::reply::Failure;

/// A path and a method, and their operation.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) method: Method,
    /// The path, with names in braces for its variable parts.
    pub(crate) template: &'static str,
    pub(crate) operation: Operation,
}

/// The operation of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// The page for people.
    Page,
    /// The description of this table.
    OpenApi,
    /// Whether all three servers can be reached.
    Health,
    Metrics,
    /// The models in service.
    Models,
    /// Asks the named command's question about the files.
    Ask {
        command: &'static str,
        question: QuestionKind,
    },
    /// Whether two recordings are of one speaker, in the format of the SIFIS-Home project.
    Speakers,
    /// Filters a picture.
    Filter,
    Enrol,
    Persons,
    Remove,
}

/// The question about files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QuestionKind {
    Label,
    Same,
    Who,
    Is,
}

impl Operation {
    /// Whether the route tells nothing that only holders of a token may know.
    pub(crate) fn open(self) -> bool {
        matches!(self, Self::Page | Self::OpenApi | Self::Health)
    }

    /// The model to ask unless the request names another.
    pub(crate) fn model(self) -> &'static str {
        match self {
            Self::Ask { command: "emotion", .. } => "emotion",
            Self::Ask { command: "classify", .. } => "face",
            Self::Ask { command: "identify-speaker", .. } => "speaker",
            Self::Ask { command: "verify-speaker", .. } | Self::Speakers => "speaker-verify",
            _ => "face-match",
        }
    }
}

const fn route(method: Method, template: &'static str, operation: Operation) -> Route {
    Route { method, template, operation }
}

const fn ask(template: &'static str, command: &'static str, question: QuestionKind) -> Route {
    route(Method::POST, template, Operation::Ask { command, question })
}

/// Every route of the gateway.
pub(crate) static ROUTES: [Route; 16] = [
    route(Method::GET, "/", Operation::Page),
    route(Method::GET, "/openapi.json", Operation::OpenApi),
    route(Method::GET, "/healthz", Operation::Health),
    route(Method::GET, "/metrics", Operation::Metrics),
    route(Method::GET, "/v1/models", Operation::Models),
    ask("/v1/emotion", "emotion", QuestionKind::Label),
    ask("/v1/classify", "classify", QuestionKind::Label),
    ask("/v1/speaker/identify", "identify-speaker", QuestionKind::Label),
    ask("/v1/speaker/verify", "verify-speaker", QuestionKind::Same),
    ask("/v1/face/match", "face match", QuestionKind::Who),
    ask("/v1/face/verify", "face verify", QuestionKind::Is),
    route(Method::POST, "/v1/filter", Operation::Filter),
    route(Method::POST, "/v1/face/enrol", Operation::Enrol),
    route(Method::GET, "/v1/face", Operation::Persons),
    route(Method::DELETE, "/v1/face/{id}", Operation::Remove),
    route(
        Method::POST,
        "/speaker_verification/{first_audio_file}/{second_audio_file}/{requestor_id}/{requestor_type}/{request_id}",
        Operation::Speakers,
    ),
];

/// The route of a request, and the values of the names in its template.
pub(crate) fn find(method: &Method, path: &str) -> Result<(&'static Route, Vec<String>), Failure> {
    let here = || ROUTES.iter().filter_map(|route| Some((route, fill(route.template, path)?)));
    if let Some((route, names)) = here().find(|(route, _)| route.method == *method) {
        let decoded = names.into_iter().map(|name| percent_decode_str(name).decode_utf8().map(Cow::into_owned));
        let names = decoded.collect::<Result<_, _>>().map_err(|_| Failure::usage("the path is not UTF-8"))?;
        return Ok((route, names));
    }
    let methods: Vec<&str> = here().map(|(route, _)| route.method.as_str()).collect();
    if methods.is_empty() {
        return Err(Failure::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "nothing is here; /openapi.json says what there is",
        ));
    }
    let methods = methods.join(", ");
    let error = format!("this path takes {methods} only");
    Err(Failure::new(StatusCode::METHOD_NOT_ALLOWED, "method", error).allowing(methods))
}

/// The values in `path` for the names in a template, if it fits.
fn fill<'a>(template: &str, path: &'a str) -> Option<Vec<&'a str>> {
    let (mut expected, mut names) = (template.split('/'), Vec::new());
    for given in path.split('/') {
        match expected.next()? {
            name if name.starts_with('{') && !given.is_empty() => names.push(given),
            exactly if exactly == given => {}
            _ => return None,
        }
    }
    expected.next().is_none().then_some(names)
}

/// The parameters after the question mark.
#[derive(Debug, PartialEq)]
pub(crate) struct Query {
    pub(crate) model: String,
    pub(crate) security: Mode,
    id: Option<String>,
    kernel: Option<String>,
}

impl Query {
    /// The parameters of a request for `operation`.
    pub(crate) fn parse(query: Option<&str>, operation: Operation) -> Result<Self, Failure> {
        let mut parsed = Self { model: operation.model().into(), security: Mode::Active, id: None, kernel: None };
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*name {
                "model" => parsed.model = value.into_owned(),
                "id" => parsed.id = Some(value.into_owned()),
                "kernel" => parsed.kernel = Some(value.into_owned()),
                "security" => {
                    let unknown = |_: Error| Failure::usage("security is passive, active or strict");
                    parsed.security = Mode::deserialize((&*value).into_deserializer()).map_err(unknown)?;
                }
                _ => {
                    let known = "model, security, id and kernel";
                    return Err(Failure::usage(format!("no parameter {name:?}; there are {known}")));
                }
            }
        }
        Ok(parsed)
    }

    /// The person in question.
    pub(crate) fn id(&self) -> Result<&str, Failure> {
        self.id.as_deref().ok_or_else(|| Failure::usage("say which person is meant: ?id=NAME"))
    }

    /// The kernel of that name, or with those numbers.
    pub(crate) fn kernel(&self) -> Result<Stencil, Failure> {
        let kernel = self.kernel.as_deref().ok_or_else(|| Failure::usage("say which kernel: ?kernel=sharpen"))?;
        Ok(kernel.parse()?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn paths_find_their_routes() {
        let found = |method: Method, path: &str| match find(&method, path) {
            Ok((route, names)) => (200, route.template, names),
            Err(failure) => (failure.reply().status().as_u16(), "", Vec::new()),
        };
        assert_eq!(found(Method::GET, "/"), (200, "/", vec![]));
        assert_eq!(found(Method::DELETE, "/v1/face/J%C3%BCrgen%2F1"), (200, "/v1/face/{id}", vec!["Jürgen/1".into()]));
        let (status, _, names) = found(Method::POST, "/speaker_verification/a.wav/b.wav/me/NSSD/7");
        assert_eq!((status, names.join(" ").as_str()), (200, "a.wav b.wav me NSSD 7"));
        for path in ["", "/v1", "/v1/face/", "/v1/face/a/b", "//", "/speaker_verification/a.wav/b.wav/me/NSSD/"] {
            assert_eq!(found(Method::DELETE, path).0, 404, "{path}");
        }
        assert_eq!(found(Method::GET, "/v1/classify").0, 405);
        assert_eq!(found(Method::DELETE, "/v1/face/%FF").0, 400);
    }

    #[test]
    fn queries_are_checked() {
        let parse = |query: &str| Query::parse(Some(query), Operation::Enrol);
        let query = parse("model=a%20b&security=strict&id=J%C3%BCrgen+1").unwrap();
        assert_eq!((query.model.as_str(), query.security, query.id().unwrap()), ("a b", Mode::Strict, "Jürgen 1"));
        assert_eq!(Query::parse(None, Operation::Enrol).unwrap().id().unwrap_err().reply().status(), 400);
        for (kernel, good) in [("sharpen", true), ("0,0,0,0,1,0,0,0,0", true), ("1,2", false), ("sharp", false)] {
            assert_eq!(parse(&format!("kernel={kernel}")).unwrap().kernel().is_ok(), good, "{kernel}");
        }
        for wrong in ["security=none", "security=", "modle=face"] {
            assert_eq!(parse(wrong).unwrap_err().reply().status(), 400, "{wrong}");
        }
    }

    #[test]
    fn the_description_has_every_route_and_no_other() {
        let description: Value = serde_json::from_str(include_str!("openapi.json")).unwrap();
        let mut described = Vec::new();
        for (path, item) in description["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                described.push(format!("{} {path}", method.to_uppercase()));
                let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
                let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
                let in_path: Vec<&str> =
                    parameters.iter().filter(|p| p["in"] == "path").filter_map(|p| p["name"].as_str()).collect();
                assert_eq!(in_path, names.collect::<Vec<_>>(), "{path}");
            }
        }
        let mut routes: Vec<String> =
            ROUTES.iter().map(|route| format!("{} {}", route.method, route.template)).collect();
        routes.sort();
        described.sort();
        assert_eq!(routes, described);
    }
}
