//! The API's settings.

use std::net::SocketAddr;

use domain::Policy;
use shared::config::{self, Common, ConfigError, Env, Reader, Setting};
use store::policy;

use crate::auth::{Algorithm, AuthConfig, KeySource, SECRET_BYTES_MIN};
use crate::ops::{self, OpsConfig, Users};
use crate::sales::{self, Sales};

const ADDR: &str = "TOLLGATE_API_ADDR";
const ADMIN_ADDR: &str = "TOLLGATE_API_ADMIN_ADDR";
const ACCOUNT: &str = "TOLLGATE_API_ACCOUNT";
const CONNECTIONS: &str = "TOLLGATE_API_DATABASE_CONNECTIONS";
const JWT_SECRET: &str = "TOLLGATE_API_JWT_SECRET";
const JWKS_URL: &str = "TOLLGATE_API_JWKS_URL";
const ALGORITHM: &str = "TOLLGATE_API_JWT_ALGORITHM";
const ISSUER: &str = "TOLLGATE_API_JWT_ISSUER";
const AUDIENCE: &str = "TOLLGATE_API_JWT_AUDIENCE";
const ROLE_CLAIM: &str = "TOLLGATE_API_JWT_ROLE_CLAIM";
const OPS_USERS: &str = "TOLLGATE_API_OPS_USERS";
const OPS_SECRET: &str = "TOLLGATE_API_OPS_SECRET";

/// Settings beside the common ones.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "DATABASE_URL",
        default: "required",
        about: "Postgres, `postgres://user:password@host:port/database`; or DATABASE_URL_FILE. Its user must be a member \
                of the role `tollgate_api`, as which everything is done",
    },
    Setting {
        name: ADDR,
        default: "127.0.0.1:8082",
        about: "listener for the API",
    },
    Setting {
        name: ADMIN_ADDR,
        default: "127.0.0.1:9082",
        about: "listener for /livez, /readyz and /metrics",
    },
    Setting {
        name: ACCOUNT,
        default: "the platform's own",
        about: "the connected account (`acct_...`) whose users these are",
    },
    Setting {
        name: CONNECTIONS,
        default: "16",
        about: "most connections to Postgres, 1 to 200",
    },
    Setting {
        name: JWT_SECRET,
        default: "this or TOLLGATE_API_JWKS_URL is required",
        about: "secret of tokens signed with HS256, 32 bytes or more; or TOLLGATE_API_JWT_SECRET_FILE",
    },
    Setting {
        name: JWKS_URL,
        default: "none",
        about: "where the issuer publishes its keys (a JSON Web Key Set); read again every 10 minutes, and when a token \
                names a key that is not there",
    },
    Setting {
        name: ALGORITHM,
        default: "RS256",
        about: "the one algorithm of tokens signed with these keys: `RS256`, `ES256` or `EdDSA`",
    },
    Setting {
        name: ISSUER,
        default: "required",
        about: "`iss` that tokens must have",
    },
    Setting {
        name: AUDIENCE,
        default: "required",
        about: "`aud` that tokens must have, perhaps among others",
    },
    Setting {
        name: ROLE_CLAIM,
        default: "role",
        about: "claim that says `user`, `service` or `admin`; a token without it is a user's",
    },
    Setting {
        name: OPS_USERS,
        default: "none",
        about: "who may sign in to the ops page on the admin listener, each as `tollgate ops user` prints it, separated by \
                commas or lines; or TOLLGATE_API_OPS_USERS_FILE. Without anybody there is no ops page",
    },
    Setting {
        name: OPS_SECRET,
        default: "made up at each start",
        about: "secret that holds sessions of the ops page, 32 bytes or more, the same for all replicas; or \
                TOLLGATE_API_OPS_SECRET_FILE",
    },
    Setting {
        name: stripe_api::API_KEY,
        default: "none",
        about: "key of Stripe's API that may write customers, Checkout sessions, payment intents, refunds and portal \
                sessions; or STRIPE_API_KEY_FILE. Without one nothing can be bought",
    },
    stripe_api::API_URL,
    sales::SETTINGS[0],
    sales::SETTINGS[1],
    sales::SETTINGS[2],
    sales::SETTINGS[3],
    sales::SETTINGS[4],
    sales::SETTINGS[5],
    sales::SETTINGS[6],
    policy::PAST_DUE,
    policy::UPGRADE,
    policy::NEGATIVE_BALANCE,
    policy::EXPIRE_GRACE,
    policy::PAID_TIME,
    policy::CREDITS_OUTSTANDING,
    policy::CREDITS_LOW,
];

/// How the API runs. Not `Debug`: the URLs may hold passwords.
#[derive(Clone)]
pub struct ApiConfig {
    /// What every role needs.
    pub common: Common,
    /// `DATABASE_URL`.
    pub database_url: String,
    /// `TOLLGATE_API_DATABASE_CONNECTIONS`.
    pub connections_max: u32,
    /// `TOLLGATE_API_ADDR`.
    pub address: SocketAddr,
    /// `TOLLGATE_API_ADMIN_ADDR`.
    pub admin_address: SocketAddr,
    /// `TOLLGATE_API_ACCOUNT`; `""` is the platform's own.
    pub account: String,
    /// `TOLLGATE_API_JWT_*`, `TOLLGATE_API_JWKS_URL`.
    pub auth: AuthConfig,
    /// `STRIPE_API_KEY`, `TOLLGATE_STRIPE_API_URL`.
    pub stripe: Option<stripe_api::Settings>,
    /// `TOLLGATE_API_*_URL`, `TOLLGATE_API_TOPUP_*`.
    pub(crate) sales: Sales,
    /// `TOLLGATE_POLICY_*`.
    pub policy: Policy,
    /// `TOLLGATE_CREDITS_LOW`.
    pub credits_low: i64,
    /// `TOLLGATE_API_OPS_*`; `None`: there is no ops page.
    pub ops: Option<OpsConfig>,
}

impl ApiConfig {
    /// Reads the settings.
    ///
    /// # Errors
    /// [`ConfigError`] with everything that is wrong.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(env);
        let config = Self {
            common: Common::read(&mut reader),
            database_url: config::database_url(&mut reader, store::is_url),
            connections_max: u32::try_from(reader.number(CONNECTIONS, 16, 1, 200)).unwrap_or(1),
            address: reader.or(ADDR, SocketAddr::from(([127, 0, 0, 1], 8082))),
            admin_address: reader.or(ADMIN_ADDR, SocketAddr::from(([127, 0, 0, 1], 9082))),
            account: reader.or(ACCOUNT, String::new()),
            auth: auth(&mut reader),
            stripe: stripe_api::read_settings(&mut reader),
            sales: Sales::read(&mut reader),
            policy: policy::read(&mut reader),
            credits_low: policy::credits_low(&mut reader),
            ops: ops(&mut reader),
        };
        if !config.account.is_empty() && !config.account.starts_with("acct_") {
            reader.problem(format!(
                "{ACCOUNT}: an account is named acct_..., or left out for the platform's own"
            ));
        }
        let own: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
        let own: Vec<String> = own
            .iter()
            .flat_map(|name| [(*name).to_owned(), format!("{name}_FILE")])
            .collect();
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        reader.refuse_unknown("TOLLGATE_API_", &own);
        reader.finish(config)
    }
}

fn ops(reader: &mut Reader<'_>) -> Option<OpsConfig> {
    let secret = reader.secret(OPS_SECRET).map(String::into_bytes);
    if secret.as_ref().is_some_and(|it| it.len() < ops::SECRET_BYTES_MIN) {
        reader.problem(format!(
            "{OPS_SECRET}: shorter than {} bytes",
            ops::SECRET_BYTES_MIN
        ));
    }
    match Users::parse(&reader.secret(OPS_USERS)?) {
        Ok(users) => Some(OpsConfig { users, secret }),
        Err(problem) => {
            reader.problem(format!("{OPS_USERS}: {problem}"));
            None
        }
    }
}

fn auth(reader: &mut Reader<'_>) -> AuthConfig {
    let mut required = |name: &str| {
        let value: String = reader.or(name, String::new());
        if value.is_empty() {
            reader.problem(format!("{name} is not set"));
        }
        value
    };
    let issuer = required(ISSUER);
    let audience = required(AUDIENCE);
    let algorithm = reader.choice(
        ALGORITHM,
        &[
            ("RS256", Algorithm::RS256),
            ("ES256", Algorithm::ES256),
            ("EdDSA", Algorithm::EdDSA),
        ],
    );
    let secret = reader.secret(JWT_SECRET);
    let url: Option<String> = reader.optional(JWKS_URL);
    let keys = match (secret, url) {
        (Some(secret), None) => {
            if secret.len() < SECRET_BYTES_MIN {
                reader.problem(format!("{JWT_SECRET}: shorter than {SECRET_BYTES_MIN} bytes"));
            }
            KeySource::Secret(secret.into_bytes())
        }
        (None, Some(url)) => KeySource::Published { url, algorithm },
        (Some(_), Some(_)) => {
            reader.problem(format!("{JWT_SECRET} and {JWKS_URL} are both set; keep one"));
            KeySource::Secret(Vec::new())
        }
        (None, None) => {
            reader.problem(format!(
                "neither {JWT_SECRET} (nor {JWT_SECRET}_FILE) nor {JWKS_URL} is set"
            ));
            KeySource::Secret(Vec::new())
        }
    };
    AuthConfig {
        keys,
        issuer,
        audience,
        role_claim: reader.or(ROLE_CLAIM, "role".to_owned()),
    }
}
