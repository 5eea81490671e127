//! What a well-formed file may still get wrong about flows: their steps, and what must come before what. The codes
//! (`CFG-...`) are the requirements'.

use domain::flow::{Around, Choice, Definition, OPTIONS_MAX, Purpose, PushRule, STEPS_MAX, Step, checked_id};
use domain::method::{Condition, Method};
use toml::Spanned;

use super::check::Checker;
use super::people::{SmsAuthenticator, SoftOath};
use super::people_file as file;

/// What the steps of one flow are checked against.
struct Rules<'r> {
    authenticators: &'r [SmsAuthenticator],
    oath: &'r SoftOath,
    has_push: bool,
    /// What the texts of the options' steps cannot say.
    around: Around,
}

fn conditions(c: &mut Checker<'_>, texts: Vec<Spanned<String>>, key: &str) -> Vec<Condition> {
    let mut conditions = Vec::new();
    for text in texts {
        match Condition::parse(text.get_ref()) {
            Ok(condition) => conditions.push(condition),
            Err(error) => c.find(&text, key, error.to_string()),
        }
    }
    conditions
}

fn steps(c: &mut Checker<'_>, texts: Vec<Spanned<String>>, around: &Around, rules: &Rules<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    for text in texts {
        match Step::parse(text.get_ref(), around) {
            Err(error) => c.find(&text, "flow.steps", error.to_string()),
            Ok(step) => {
                if let Step::Sms(id) | Step::PhoneChange(id) = &step
                    && !rules.authenticators.iter().any(|own| own.id == *id)
                {
                    c.find(&text, "flow.steps", format!("there is no authenticator {id}"));
                }
                if matches!(step, Step::Push(_) | Step::MfaRegister { .. }) && !rules.has_push {
                    let what =
                        "CFG-COMB-1: phones cannot be asked or registered without a transport: add [push]";
                    c.find(&text, "flow.steps", what);
                }
                if step == (Step::OathActivate { overwrite_existing: false }) && !rules.oath.totp {
                    let what =
                        "CFG-OATH-1: an existing secret can be shown again only with oath.type = \"TOTP\"";
                    c.find(&text, "flow.overwrite_existing", what);
                }
                steps.push(step);
            }
        }
    }
    steps
}

fn options(c: &mut Checker<'_>, table: Option<file::Options>, rules: &Rules<'_>) -> Vec<Choice> {
    let mut choices = Vec::new();
    for option in table.map(|table| table.option).unwrap_or_default() {
        let target = option.target.as_ref().and_then(|target| {
            let method = Method::from_name(target.get_ref());
            if method.is_none() {
                c.find(target, "option.target", "must be PASSWORD, SMS, OATH_OTP, PUSH or HW_TOKEN");
            }
            method
        });
        let name = option.name.or(option.target).map(Spanned::into_inner).unwrap_or_default();
        let mut around = rules.around.clone();
        if let Some(overwrite) = option.overwrite_existing {
            around.overwrite_existing = overwrite.into_inner();
        }
        let when = file::OneOrMore::texts(option.when);
        choices.push(Choice {
            label: option.label.unwrap_or_else(|| name.clone()),
            when: conditions(c, when, "option.when"),
            steps: steps(c, option.steps, &around, rules),
            target,
            name,
        });
    }
    choices
}

/// What follows a phone's silence (COMB-05).
fn push_rule(c: &mut Checker<'_>, table: Option<&file::PushStep>) -> PushRule {
    let else_oath = match table.and_then(|table| table.on_timeout.as_ref()) {
        None => false,
        Some(text) => match text.get_ref().as_str() {
            "oath" => true,
            "fail" => false,
            _ => {
                c.find(text, "flow.push.on_timeout", "must be oath or fail");
                false
            }
        },
    };
    PushRule { else_oath, optional: table.and_then(|table| table.optional).unwrap_or(false) }
}

/// Checks one flow; none where it has no id.
pub(super) fn flow(
    c: &mut Checker<'_>,
    table: file::Flow,
    purpose: Purpose,
    (authenticators, oath, has_push): (&[SmsAuthenticator], &SoftOath, bool),
) -> Option<Definition> {
    let id = checked_id(table.id.get_ref());
    if id.is_none() {
        c.find(&table.id, "flow.id", "must be ASCII letters, digits, _, - and .");
    }
    let purpose = match table.purpose.as_ref().map(|text| text.get_ref().as_str()) {
        None => purpose,
        Some("login") => Purpose::Login,
        Some("self-registration") => Purpose::SelfRegistration,
        Some("self-service") => Purpose::SelfService,
        Some(_) => {
            c.find(&table.id, "flow.purpose", "must be login, self-service or self-registration");
            purpose
        }
    };
    let max_skips = table.migrate.as_ref().and_then(|migrate| migrate.max_skips).unwrap_or(3);
    let around = Around {
        max_skips,
        overwrite_existing: table.overwrite_existing.is_none_or(Spanned::into_inner),
        push: push_rule(c, table.push.as_ref()),
        replace: table.replace.unwrap_or(false),
        ..Around::default()
    };
    let rules = Rules { authenticators, oath, has_push, around };
    let around = Around {
        select: options(c, table.select, &rules),
        migrate: options(c, table.migrate, &rules),
        ..rules.around.clone()
    };
    for choices in [&around.select, &around.migrate] {
        if choices.len() > OPTIONS_MAX {
            c.find(&table.id, "flow.option", format!("a selection has at most {OPTIONS_MAX} options"));
        }
    }
    let steps = steps(c, table.steps, &around, &rules);
    if steps.is_empty() || steps.len() > STEPS_MAX {
        c.find(&table.id, "flow.steps", format!("a flow has 1 to {STEPS_MAX} steps"));
    }
    order(c, &table.id, purpose, &steps, authenticators);
    phones(c, &table.id, purpose, &steps, table.recovery_codes.unwrap_or(false));
    let conditions = conditions(c, table.conditions, "flow.conditions");
    let id = id?;
    let (label, recovery_codes) =
        (table.label.unwrap_or_else(|| id.clone()), table.recovery_codes.unwrap_or(false));
    Some(Definition { label, id, purpose, conditions, recovery_codes, steps })
}

/// What must come before what.
fn order(
    c: &mut Checker<'_>,
    at: &Spanned<String>,
    purpose: Purpose,
    steps: &[Step],
    authenticators: &[SmsAuthenticator],
) {
    let attributed = |step: &Step| {
        step.authenticators().iter().any(|id| {
            let own = authenticators.iter().find(|own| own.id == *id);
            own.is_some_and(|own| own.intermediate_attribute_name.is_some())
        })
    };
    // SMS-13.
    if purpose == Purpose::Login && steps.first().is_some_and(attributed) {
        let text = "a number from an attribute needs a factor before it";
        c.find(at, "flow.steps", text);
    }
    let mut before = Vec::new();
    previous(c, at, steps, authenticators, &mut before);
    let place = |wanted: fn(&Step) -> bool| steps.iter().position(wanted);
    let registers =
        place(|step| matches!(step, Step::Details)).zip(place(|step| matches!(step, Step::Persist)));
    if purpose == Purpose::SelfRegistration && registers.is_none_or(|(details, persist)| details >= persist) {
        c.find(at, "flow.steps", "a self-registration asks for details and ends with persist");
    }
    let resyncs = |step: &Step| matches!(step, Step::OathResync);
    let resyncs_at = |step: &Step| match step {
        Step::Select(options) | Step::Migrate { options, .. } => {
            options.iter().any(|option| option.steps.iter().any(resyncs))
        }
        step => resyncs(step),
    };
    // In a login the page that asks for the code leads there, and back.
    if purpose != Purpose::SelfService && steps.iter().any(resyncs_at) {
        c.find(at, "flow.steps", "oath-resync is a step of a self-service");
    }
    if purpose == Purpose::Login && !matches!(steps.first(), Some(Step::Password | Step::Username)) {
        c.find(at, "flow.steps", "a login begins with password or username");
    }
}

/// Phones and recovery codes are for those who have shown something before (COMB-01, D-36), and whom the store knows.
fn phones(c: &mut Checker<'_>, at: &Spanned<String>, purpose: Purpose, steps: &[Step], recovery_codes: bool) {
    fn any(steps: &[Step], which: fn(&Step) -> bool) -> bool {
        steps.iter().any(|step| match step {
            Step::Select(options) | Step::Migrate { options, .. } => {
                options.iter().any(|option| any(&option.steps, which))
            }
            step => which(step),
        })
    }
    let needy = |step: &Step| matches!(step, Step::Recovery | Step::MfaRegister { .. });
    let shows = |step: &Step| {
        matches!(step, Step::Password | Step::Sms(_) | Step::Oath | Step::Email | Step::Push(_))
    };
    let wants = any(steps, needy) || recovery_codes;
    if purpose == Purpose::SelfRegistration && (wants || any(steps, |step| matches!(step, Step::Push(_)))) {
        c.find(
            at,
            "flow.steps",
            "a new user has no phone and no recovery codes yet: use a self-service afterwards",
        );
    }
    // With recovery codes, what a code may stand for is no factor before it.
    let first = steps.iter().position(|step| {
        let step = std::slice::from_ref(step);
        any(step, needy) || recovery_codes && any(step, |step| matches!(step, Step::Push(_) | Step::Oath))
    });
    let before = &steps[..first.unwrap_or(steps.len())];
    if purpose == Purpose::Login && wants && !any(before, shows) {
        c.find(at, "flow.steps", "recovery and mfa-register need a factor before them");
    }
}

/// Whether each authenticator comes after the one that it names as its previous one (SMS-06); `before` are the
/// factors that came so far.
fn previous<'s>(
    c: &mut Checker<'_>,
    at: &Spanned<String>,
    steps: &'s [Step],
    authenticators: &[SmsAuthenticator],
    before: &mut Vec<&'s str>,
) {
    for step in steps {
        match step {
            Step::Password => before.push("password"),
            Step::Oath => before.push("oath"),
            Step::Email => before.push("email"),
            Step::Sms(id) => {
                let own = authenticators.iter().find(|own| own.id == *id);
                if let Some(wanted) = own.and_then(|own| own.previous.as_deref())
                    && !before.contains(&wanted)
                {
                    c.find(at, "flow.steps", format!("{wanted} must come before {id}, as its previous one"));
                }
                before.push(id);
            }
            Step::Select(options) | Step::Migrate { options, .. } => {
                for option in options {
                    previous(c, at, &option.steps, authenticators, &mut before.clone());
                }
            }
            _ => {}
        }
    }
}
