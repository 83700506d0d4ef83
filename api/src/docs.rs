//! The API's description: OpenAPI 3.1 for machines, a page without scripts for people, both made from the code.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Extension;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use utoipa::OpenApi as _;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, ContentBuilder, OpenApi, Ref, ResponseBuilder};

use crate::caller::ID_CHARS_MAX;
use crate::problem::{PROBLEM_JSON, Problem};

const ABOUT: &str = "What an application in front of Tollgate calls: may this user do that, their credits, checkouts, \
    corrections. Every request needs a bearer token (JWT); every request that changes something needs an \
    `Idempotency-Key` and is carried out once. Errors are problem details (RFC 9457) with a stable `code`.";

/// What every page needs: nothing from elsewhere, no scripts.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";

#[derive(utoipa::OpenApi)]
#[openapi(components(schemas(Problem)), security(("bearer" = [])))]
struct Frame;

/// What is said once for all routes.
pub(crate) fn frame() -> OpenApi {
    let mut frame = Frame::openapi();
    frame.info.title = "Tollgate billing API".to_owned();
    frame.info.description = Some(ABOUT.to_owned());
    frame.info.version = env!("CARGO_PKG_VERSION").to_owned();
    frame.info.license = None;
    let mut bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .build();
    bearer.description = Some("Issuer, audience and algorithm are those of the installation.".to_owned());
    frame
        .components
        .get_or_insert_with(Components::new)
        .add_security_scheme("bearer", SecurityScheme::Http(bearer));
    frame
}

/// Adds to every route the problems and the header that all of them share.
pub(crate) fn complete(mut api: OpenApi) -> OpenApi {
    for item in api.paths.paths.values_mut() {
        let changes = [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in changes.into_iter().flatten() {
            operation
                .parameters
                .get_or_insert_default()
                .push(key_parameter().into());
            for (status, about) in [
                (
                    "409",
                    "The same request is being carried out, or it does not fit what is there",
                ),
                ("413", "The body is too long"),
                ("415", "The body is not JSON"),
                ("422", "The Idempotency-Key belongs to another request"),
            ] {
                operation
                    .responses
                    .responses
                    .entry(status.to_owned())
                    .or_insert_with(|| problem(about));
            }
        }
        let all = [
            &mut item.get,
            &mut item.post,
            &mut item.put,
            &mut item.patch,
            &mut item.delete,
        ];
        for operation in all.into_iter().flatten() {
            for parameter in operation.parameters.iter_mut().flatten() {
                say_what_an_id_is(parameter);
            }
            for (status, about) in [
                ("400", "The request makes no sense"),
                ("401", "No good token"),
                ("403", "Not allowed"),
                ("429", "Too many requests; see Retry-After"),
                ("503", "Not available at the moment; see Retry-After"),
            ] {
                operation
                    .responses
                    .responses
                    .entry(status.to_owned())
                    .or_insert_with(|| problem(about));
            }
        }
    }
    api
}

/// Every parameter in a path is an id.
fn say_what_an_id_is(parameter: &mut utoipa::openapi::RefOr<utoipa::openapi::path::Parameter>) {
    use utoipa::openapi::RefOr;
    use utoipa::openapi::path::ParameterIn;
    use utoipa::openapi::schema::{ObjectBuilder, Type};
    if let RefOr::T(parameter) = parameter
        && parameter.parameter_in == ParameterIn::Path
    {
        let id = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(ID_CHARS_MAX))
            .pattern(Some(r"^[^\x00-\x1f\x7f-\x9f]+$"));
        parameter.schema = Some(id.into());
    }
}

fn key_parameter() -> utoipa::openapi::path::Parameter {
    use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
    use utoipa::openapi::schema::{ObjectBuilder, Type};
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(utoipa::openapi::Required::True)
        .description(Some(
            "Of your own choosing, new for each new request; the same again gets the same answer.",
        ))
        .schema(Some(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .min_length(Some(1))
                .max_length(Some(255))
                .pattern(Some("^[!-~]+$")),
        ))
        .build()
}

fn problem(about: &str) -> utoipa::openapi::RefOr<utoipa::openapi::Response> {
    ResponseBuilder::new()
        .description(about)
        .content(
            PROBLEM_JSON,
            ContentBuilder::new()
                .schema(Some(Ref::from_schema_name("Problem")))
                .build(),
        )
        .build()
        .into()
}

/// Both forms, made once.
pub(crate) struct Documents {
    json: String,
    page: String,
}

impl Documents {
    pub(crate) fn of(api: &OpenApi) -> Self {
        let json = serde_json::to_value(api).unwrap_or_default();
        Self {
            page: render(&json),
            json: json.to_string(),
        }
    }
}

pub(crate) async fn openapi_json(Extension(documents): Extension<Arc<Documents>>) -> Response {
    (
        [(header::CONTENT_TYPE, "application/json")],
        documents.json.clone(),
    )
        .into_response()
}

pub(crate) async fn page(Extension(documents): Extension<Arc<Documents>>) -> Response {
    let mut response = (
        [(header::CONTENT_TYPE, "text/html; charset=utf-8")],
        documents.page.clone(),
    )
        .into_response();
    response
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

const STYLE: &str = "
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
summary { cursor: pointer; padding: .3rem 0; }
code, pre { font: .9em ui-monospace, monospace; }
.method { display: inline-block; min-width: 4rem; font-weight: 700; }
table { border-collapse: collapse; } td, th { text-align: left; padding: .1rem 1rem .1rem 0; vertical-align: top; }
pre { overflow: auto; border: 1px solid; padding: .5rem; }";

/// One section for each tag, one entry for each operation, the schemas at the end.
fn render(api: &Value) -> String {
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style><main><h1>{title}</h1><p>{about}</p>\
         <p>For machines: <a href=\"/openapi.json\"><code>/openapi.json</code></a></p>",
        title = text(&api["info"]["title"]),
        about = text(&api["info"]["description"]),
    );
    html.push_str("<h2>Requests</h2>");
    for (path, item) in api["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            render_operation(&mut html, path, method, operation);
        }
    }
    html.push_str("<h2>Schemas</h2>");
    for (name, schema) in api["components"]["schemas"].as_object().into_iter().flatten() {
        let body = serde_json::to_string_pretty(schema).unwrap_or_default();
        // Writing to a String cannot fail.
        write!(
            html,
            "<details id=\"schema-{name}\"><summary><code>{name}</code></summary><pre>{}</pre></details>",
            escape(&body)
        )
        .ok();
    }
    html.push_str("</main></html>");
    html
}

fn render_operation(html: &mut String, path: &str, method: &str, operation: &Value) {
    write!(
        html,
        "<details><summary><span class=\"method\">{}</span> <code>{}</code> {}</summary><p>{}</p>",
        method.to_uppercase(),
        escape(path),
        text(&operation["summary"]),
        text(&operation["description"]),
    )
    .ok();
    html.push_str("<table>");
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        write!(
            html,
            "<tr><td><code>{}</code></td><td>{}</td><td>{}</td></tr>",
            text(&parameter["name"]),
            text(&parameter["in"]),
            text(&parameter["description"]),
        )
        .ok();
    }
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    if let Some(link) = link(body) {
        write!(html, "<tr><td>body</td><td></td><td>{link}</td></tr>").ok();
    }
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let content = response["content"].as_object();
        let schema = content
            .and_then(|content| content.values().next())
            .and_then(|it| link(&it["schema"]));
        write!(
            html,
            "<tr><td>{status}</td><td>{}</td><td>{}</td></tr>",
            schema.unwrap_or_default(),
            text(&response["description"]),
        )
        .ok();
    }
    html.push_str("</table></details>");
}

fn link(schema: &Value) -> Option<String> {
    let name = schema["$ref"].as_str()?.rsplit('/').next()?;
    Some(format!(
        "<a href=\"#schema-{0}\"><code>{0}</code></a>",
        escape(name)
    ))
}

fn text(value: &Value) -> String {
    escape(value.as_str().unwrap_or_default())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
