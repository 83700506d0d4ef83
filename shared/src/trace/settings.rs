//! Whether there are traces, and where they go: OpenTelemetry's own names, so that what is known of them elsewhere holds here.

use hyper::Uri;
use opentelemetry_sdk::trace::Sampler;

use crate::config::{ConfigError, Env, Reader, Setting};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const TRACES_PROTOCOL: &str = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL";
const COMPRESSION: &str = "OTEL_EXPORTER_OTLP_COMPRESSION";
const TRACES_COMPRESSION: &str = "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";
const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
const DISABLED: &str = "OTEL_SDK_DISABLED";
/// Where a collector takes traces, below [`ENDPOINT`].
const TRACES_PATH: &str = "/v1/traces";
/// The one protocol there is: one more would be one more stack of HTTP.
const HTTP_PROTOBUF: &str = "http/protobuf";
/// Share of traces that are sampled when nothing is said: OpenTelemetry's default.
const RATIO_DEFAULT: f64 = 1.0;

/// What can be set, beside the common settings.
pub(crate) const SETTINGS: [Setting; 4] = [
    Setting {
        name: ENDPOINT,
        default: "none: no traces",
        about: "collector that takes OTLP over HTTP, such as `http://127.0.0.1:4318`; no TLS, so keep one close; \
                OTEL_EXPORTER_OTLP_TRACES_ENDPOINT and OTEL_EXPORTER_OTLP_HEADERS count as usual",
    },
    Setting {
        name: SAMPLER,
        default: "parentbased_always_on",
        about: "which traces are begun: `always_on`, `always_off`, `traceidratio`, or one of them after `parentbased_`",
    },
    Setting {
        name: SAMPLER_ARG,
        default: "1.0",
        about: "share of traces that `traceidratio` begins, 0.0 to 1.0",
    },
    Setting {
        name: SERVICE_NAME,
        default: "tollgate-<role>",
        about: "`service.name` of the spans; OTEL_RESOURCE_ATTRIBUTES adds others",
    },
];

/// Where spans go, and which. Not `Debug`: headers may hold a token.
#[derive(Clone)]
pub struct Settings {
    pub(super) endpoint: Uri,
    pub(super) sampler: Sampler,
    pub(super) service_name: Option<String>,
}

impl Settings {
    /// Reads them; nothing when there shall be no traces.
    ///
    /// # Errors
    /// [`ConfigError`] with everything that is wrong.
    pub fn from_env(env: &Env) -> Result<Option<Self>, ConfigError> {
        let mut reader = Reader::new(env);
        let settings = read(&mut reader);
        reader.finish(settings)
    }
}

fn read(reader: &mut Reader<'_>) -> Option<Settings> {
    let env = reader.env();
    let is_disabled = env
        .get(DISABLED)
        .is_some_and(|it| it.eq_ignore_ascii_case("true"));
    if is_disabled || env.get(EXPORTER) == Some("none") {
        return None;
    }
    let endpoint = endpoint(reader)?;
    for name in [PROTOCOL, TRACES_PROTOCOL] {
        if env.get(name).is_some_and(|it| it != HTTP_PROTOBUF) {
            reader.problem(format!("{name}: only {HTTP_PROTOBUF} is spoken"));
        }
    }
    for name in [COMPRESSION, TRACES_COMPRESSION] {
        if env.get(name).is_some_and(|it| it != "none") {
            reader.problem(format!("{name}: nothing is compressed"));
        }
    }
    Some(Settings {
        endpoint,
        sampler: sampler(reader),
        service_name: env.get(SERVICE_NAME).map(str::to_owned),
    })
}

/// The value never enters a message: it may hold a password.
fn endpoint(reader: &mut Reader<'_>) -> Option<Uri> {
    let env = reader.env();
    let (name, text) = match (env.get(TRACES_ENDPOINT), env.get(ENDPOINT)) {
        (Some(whole), _) => (TRACES_ENDPOINT, whole.to_owned()),
        (None, Some(base)) => (ENDPOINT, format!("{}{TRACES_PATH}", base.trim_end_matches('/'))),
        (None, None) => return None,
    };
    let uri = text.parse::<Uri>().ok();
    let uri = uri.filter(|uri| uri.scheme_str() == Some("http") && uri.host().is_some());
    if uri.is_none() {
        reader.problem(format!(
            "{name} is no http:// address; TLS is left to a collector beside this process"
        ));
    }
    uri
}

fn sampler(reader: &mut Reader<'_>) -> Sampler {
    let ratio = reader.or(SAMPLER_ARG, RATIO_DEFAULT);
    if !(0.0..=1.0).contains(&ratio) {
        reader.problem(format!("{SAMPLER_ARG}: {ratio} is outside 0.0 to 1.0"));
    }
    let name: String = reader.or(SAMPLER, "parentbased_always_on".to_owned());
    let (is_parent_based, root) = match name.strip_prefix("parentbased_") {
        Some(root) => (true, root),
        None => (false, name.as_str()),
    };
    let root = match root {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => Sampler::TraceIdRatioBased(ratio),
        _ => {
            reader.problem(format!("{SAMPLER}: {name:?} is no sampler this build knows"));
            Sampler::AlwaysOff
        }
    };
    if is_parent_based {
        Sampler::ParentBased(Box::new(root))
    } else {
        root
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Result<Option<Settings>, Vec<String>> {
        let env: Env = pairs.iter().copied().collect();
        Settings::from_env(&env).map_err(|ConfigError(problems)| problems)
    }

    #[test]
    fn nothing_set_is_no_traces() {
        for off in [
            &[][..],
            &[(ENDPOINT, "http://c:4318"), (DISABLED, "true")],
            &[(ENDPOINT, "http://c:4318"), (EXPORTER, "none")],
        ] {
            assert!(matches!(settings(off), Ok(None)), "{off:?}");
        }
    }

    #[test]
    fn the_path_is_added_to_the_general_address_and_not_to_the_particular_one() {
        let address = |pairs: &[_]| {
            let settings = settings(pairs).expect("usable").expect("on");
            settings.endpoint.to_string()
        };
        assert_eq!(
            address(&[(ENDPOINT, "http://c:4318/")]),
            "http://c:4318/v1/traces"
        );
        assert_eq!(
            address(&[(ENDPOINT, "http://c:4318"), (TRACES_ENDPOINT, "http://d/x")]),
            "http://d/x"
        );
    }

    #[test]
    fn what_cannot_be_done_is_said_without_the_address() {
        let problems = |pairs: &[_]| settings(pairs).err().expect("problems");
        for address in ["https://u:hunter2@c", "c:4318", "nonsense hunter2"] {
            let said = problems(&[(ENDPOINT, address)]);
            assert_eq!(said.len(), 1, "{said:?}");
            assert!(!said[0].contains("hunter2"), "{said:?}");
        }
        let said = problems(&[
            (ENDPOINT, "http://c"),
            (PROTOCOL, "grpc"),
            (COMPRESSION, "gzip"),
            (SAMPLER, "xray"),
            (SAMPLER_ARG, "2"),
        ]);
        assert_eq!(said.len(), 4, "{said:?}");
    }
}
