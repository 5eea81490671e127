//! The API: routes on one screen, and how a blocking act is run for an async request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use domain::event::Actor;
use domain::role::Right;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::appliance::Appliance;
use crate::flows::{Caller, FlowError};
use crate::live::Live;

mod applications;
mod approvals;
mod auth;
mod awaited;
mod backchannel;
mod bench;
mod body;
pub(crate) mod cached;
mod challenges;
mod config;
mod enrolments;
mod error;
mod events;
mod flows;
mod letters;
mod logo;
mod messages;
mod methods;
mod oath;
mod operators;
mod organisations;
mod patient;
pub mod phones;
mod privacyidea;
pub(crate) mod provisioning;
mod push;
mod registrations;
pub mod serve;
pub(crate) mod status;
mod tokens;
mod users;
mod verify;
mod vetting;
pub mod wire;

pub use auth::Peer;
pub use body::BODY_MAX;
pub use error::{ApiError, Problem};

/// Acts under way at once at the most.
pub const ACTS_MAX: usize = 128;
/// Longest wait for a place among them.
const PLACE_WAIT: Duration = Duration::from_secs(5);

/// What the handlers work with.
pub struct Api {
    live: Arc<Live>,
    places: Arc<Semaphore>,
    prometheus: PrometheusHandle,
    stopping: AtomicBool,
}

impl Api {
    /// Puts the parts together.
    pub fn new(live: Arc<Live>, prometheus: PrometheusHandle) -> Arc<Self> {
        let (places, stopping) = (Arc::new(Semaphore::new(ACTS_MAX)), AtomicBool::new(false));
        Arc::new(Api { live, places, prometheus, stopping })
    }

    /// The end is near: requests that wait for news are answered with what there is.
    pub(crate) fn stop_waiting(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.appliance().news.notify_waiters();
    }

    /// Whether nothing is worth waiting for any more.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// What the handlers work with.
    pub(crate) fn appliance(&self) -> Arc<Appliance> {
        self.live.current()
    }

    /// Runs a blocking act off the async threads.
    ///
    /// # Errors
    /// The act's own; [`FlowError::Busy`] when no place came free in time.
    pub(crate) async fn act<T: Send + 'static>(
        self: &Arc<Self>,
        act: impl FnOnce(&Appliance) -> Result<T, FlowError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let places = Arc::clone(&self.places);
        let place = match tokio::time::timeout(PLACE_WAIT, places.acquire_owned()).await {
            Ok(Ok(place)) => place,
            _ => return Err(FlowError::Busy.into()),
        };
        let app = self.live.current();
        let done = tokio::task::spawn_blocking(move || {
            let result = act(&app);
            if let Err(error) = &result
                && let Err(unwritten) = app.note_tampering(error, &Actor::system("api"))
            {
                tracing::error!(%unwritten, "tampering could not be written down");
            }
            drop(place);
            result
        });
        match done.await {
            Ok(result) => Ok(result?),
            Err(_) => Err(hsm::HsmError::Unavailable { reason: "the act ended early".to_owned() }.into()),
        }
    }
}

impl Api {
    /// Runs a blocking act for a caller who needs a right.
    ///
    /// # Errors
    /// `forbidden` without the right, which is an event; else as [`Api::act`].
    async fn act_as<T: Send + 'static>(
        self: &Arc<Self>,
        caller: Caller,
        right: Right,
        act: impl FnOnce(&Appliance, &Caller) -> Result<T, FlowError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.act(move |app| {
            caller.need(app, right)?;
            act(app, &caller)
        })
        .await
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Countersign",
        description = "One-time passwords computed inside an HSM: users, tokens, verification, challenges.",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT")
    ),
    components(schemas(Problem)),
    security(("key" = [])),
    modifiers(&KeyScheme)
)]
struct Description;

struct KeyScheme;

impl utoipa::Modify for KeyScheme {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
        let components = openapi.components.get_or_insert_with(Default::default);
        components.add_security_scheme("key", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

type Routes = OpenApiRouter<Arc<Api>>;

/// What applications ask: codes, challenges, flows.
fn logins(router: Routes) -> Routes {
    router
        .routes(routes!(verify::verify))
        .routes(routes!(challenges::create))
        .routes(routes!(challenges::show, challenges::cancel))
        .routes(routes!(challenges::verify))
        .routes(routes!(challenges::resend))
        .routes(routes!(flows::start))
        .routes(routes!(flows::claim))
        .routes(routes!(flows::show))
        .routes(routes!(flows::answer))
        .routes(routes!(flows::session))
        .routes(routes!(backchannel::authorize))
        .routes(routes!(backchannel::poll))
}

/// Users, their tokens, methods and letters.
fn people(router: Routes) -> Routes {
    router
        .routes(routes!(users::add, users::list))
        .routes(routes!(users::show))
        .routes(routes!(users::set_phone, methods::remove_phone))
        .routes(routes!(methods::suspend_phone))
        .routes(routes!(methods::resume_phone))
        .routes(routes!(users::unlock))
        .routes(routes!(methods::lock))
        .routes(routes!(methods::show))
        .routes(routes!(methods::set))
        .routes(routes!(methods::set_password, methods::remove_password))
        .routes(routes!(methods::set_email, methods::remove_email))
        .routes(routes!(methods::set_address, methods::remove_address))
        .routes(routes!(methods::set_lang))
        .routes(routes!(organisations::show, organisations::set, organisations::remove))
        .routes(routes!(oath::add, oath::show, oath::delete))
        .routes(routes!(oath::renew))
        .routes(routes!(oath::resync))
        .routes(routes!(oath::secret))
        .routes(routes!(users::test_phone))
        .routes(routes!(tokens::add, tokens::of_user))
        .routes(routes!(tokens::list))
        .routes(routes!(tokens::show))
        .routes(routes!(tokens::change))
        .routes(routes!(tokens::resync))
        .routes(routes!(registrations::begin))
        .routes(routes!(registrations::show, registrations::cancel))
        .routes(routes!(registrations::verify))
        .routes(routes!(registrations::ask))
        .routes(routes!(push::of_user))
        .routes(routes!(logo::set, logo::show, logo::clear))
        .routes(routes!(messages::send))
        .routes(routes!(messages::show))
        .routes(routes!(letters::order, letters::list))
        .routes(routes!(letters::run))
        .routes(routes!(letters::show, letters::cancel))
        .routes(routes!(letters::hand_over))
}

/// Enrolments, what registration authorities do, and forgetting.
fn enrolment(router: Routes) -> Routes {
    router
        .routes(routes!(enrolments::request, enrolments::list))
        .routes(routes!(enrolments::report))
        .routes(routes!(enrolments::show))
        .routes(routes!(enrolments::activities))
        .routes(routes!(enrolments::factor))
        .routes(routes!(enrolments::token))
        .routes(routes!(enrolments::register))
        .routes(routes!(enrolments::send))
        .routes(routes!(enrolments::possession))
        .routes(routes!(enrolments::code))
        .routes(routes!(enrolments::book, enrolments::give_back))
        .routes(routes!(enrolments::cancel))
        .routes(routes!(enrolments::revoke))
        .routes(routes!(enrolments::identity, enrolments::erase))
        .routes(routes!(enrolments::forget))
        .routes(routes!(vetting::offer, vetting::appointments))
        .routes(routes!(vetting::begin_by_code))
        .routes(routes!(vetting::begin))
        .routes(routes!(vetting::proof))
        .routes(routes!(vetting::liveness))
        .routes(routes!(vetting::source))
        .routes(routes!(vetting::record))
        .routes(routes!(vetting::second))
        .routes(routes!(vetting::again))
        .routes(routes!(vetting::assertion))
        .routes(routes!(vetting::token))
        .routes(routes!(vetting::hand_over))
        .routes(routes!(vetting::bind))
        .routes(routes!(vetting::activate))
        .routes(routes!(vetting::confirm))
        .routes(routes!(vetting::reject))
}

/// The bench.
fn hardware(router: Routes) -> Routes {
    router
        .routes(routes!(provisioning::assign))
        .routes(routes!(provisioning::host_key))
        .routes(routes!(provisioning::attest))
        .routes(routes!(provisioning::begin))
        .routes(routes!(provisioning::confirm))
        .routes(routes!(provisioning::device))
        .routes(routes!(provisioning::committed))
        .routes(routes!(provisioning::order))
        .routes(routes!(bench::open))
        .routes(routes!(bench::prove))
        .routes(routes!(bench::sign))
        .routes(routes!(bench::check))
        .routes(routes!(bench::stock))
}

/// Operators, applications, events, state.
fn operation(router: Routes) -> Routes {
    router
        .routes(routes!(events::list))
        .routes(routes!(applications::add, applications::list))
        .routes(routes!(applications::revoke))
        .routes(routes!(operators::whoami))
        .routes(routes!(operators::add, operators::list))
        .routes(routes!(operators::show, operators::revoke))
        .routes(routes!(operators::give_role))
        .routes(routes!(operators::take_role))
        .routes(routes!(approvals::list))
        .routes(routes!(approvals::show))
        .routes(routes!(approvals::approve))
        .routes(routes!(approvals::deny))
        .routes(routes!(config::activate))
        .routes(routes!(status::hsm))
        .routes(routes!(status::hsm_check))
        .routes(routes!(status::healthz))
        .routes(routes!(status::readyz))
        .routes(routes!(status::metrics))
}

fn described() -> (Router<Arc<Api>>, utoipa::openapi::OpenApi) {
    let router = OpenApiRouter::with_openapi(Description::openapi());
    operation(hardware(enrolment(people(logins(router))))).split_for_parts()
}

/// The API's description as it is served and as `docs/openapi.json` holds it.
pub fn openapi_json() -> String {
    let (_, openapi) = described();
    let mut text = openapi.to_pretty_json().expect("the description is JSON");
    text.push('\n');
    text
}

/// All routes.
pub fn router(api: Arc<Api>) -> Router {
    let pages = crate::ui::routes(&api);
    let (described, _) = described();
    let description: Arc<str> = openapi_json().into();
    described
        .merge(privacyidea::routes())
        .merge(phones::routes())
        .layer(axum::middleware::map_response(cached::unkept))
        .route(
            "/openapi.json",
            get(move || {
                let text = description.to_string();
                async move { ([(axum::http::header::CONTENT_TYPE, "application/json")], text) }
            }),
        )
        .merge(logo::routes())
        .merge(pages)
        .fallback(async || ApiError::not_found("path"))
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .with_state(api)
}
