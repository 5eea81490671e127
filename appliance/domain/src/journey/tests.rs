//! Each way through a flow, step by step.

use super::*;
use crate::flow::Purpose;
use crate::method::Condition;

const FACTS: Facts = Facts {
    active: Method::Sms,
    next: None,
    has_password: true,
    has_phone: true,
    has_oath: false,
    has_hardware: false,
    has_email: false,
    has_push: false,
    has_push_aside: false,
    can_recover: false,
};

fn definition(steps: Vec<Step>) -> Definition {
    let purpose = Purpose::Login;
    let (id, label, conditions) = ("login".to_owned(), String::new(), Vec::new());
    Definition { id, label, purpose, conditions, recovery_codes: true, steps }
}

fn option(name: &str, when: Condition, steps: Vec<Step>, target: Option<Method>) -> Choice {
    Choice { name: name.to_owned(), label: name.to_owned(), when: vec![when], steps, target }
}

fn login() -> Definition {
    let sms = option("SMS", Condition::Active(Method::Sms), vec![Step::Sms("sms1".to_owned())], None);
    let oath = option("OATH_OTP", Condition::Active(Method::OathOtp), vec![Step::Oath], None);
    let activate = vec![Step::OathActivate { overwrite_existing: true }];
    let migrate = option("OATH_OTP", Condition::Always, activate, Some(Method::OathOtp));
    definition(vec![
        Step::Password,
        Step::PhoneRegistration,
        Step::Select(vec![sms, oath]),
        Step::Migrate { options: vec![migrate], max_skips: 3 },
    ])
}

fn after_password(facts: &Facts) -> (Journey, Next) {
    let mut journey = Journey::start(&login());
    assert_eq!((journey.next(None), &journey.at), (Next::Ask, &At::Password));
    journey.shown(Evidence::Password, 1.0);
    let next = journey.next(Some(facts));
    (journey, next)
}

fn send() -> Next {
    Next::Do(Effect::SendSms { authenticator: "sms1".to_owned() })
}

/// MOB-18: no number leads to the registration, a number to the code, another method to its own step.
#[test]
fn the_conditions_lead_each_user_to_a_step() {
    assert_eq!(after_password(&FACTS).1, send());
    let bare = Facts { has_phone: false, ..FACTS };
    assert_eq!(after_password(&bare).1, Next::Do(Effect::BeginRegistration));
    let (journey, next) = after_password(&Facts { active: Method::OathOtp, ..bare });
    assert_eq!((next, &journey.at), (Next::Ask, &At::Oath));
    let (journey, _) = after_password(&Facts { active: Method::Push, ..FACTS });
    assert_eq!(journey.at, At::Failed(NO_OPTION.to_owned()));
}

/// MOB-30, D-07: with `continue` the phone counts as shown, with `relogin` nothing does.
#[test]
fn a_registered_number_needs_no_second_message() {
    let (mut journey, _) = after_password(&Facts { has_phone: false, ..FACTS });
    journey.number_wanted(Rule::First { iak: true });
    journey.number_entered(entered(), [9; 16]);
    let mut again = journey.clone();
    journey.number_applied(true, Some(2.0));
    assert_eq!((journey.next(Some(&FACTS)), &journey.at), (Next::Ask, &At::Done));
    assert_eq!(journey.evidence, [Evidence::Password, Evidence::Iak, Evidence::Sms]);
    again.restart(&login());
    assert_eq!((again.next(None), &again.at, again.sends), (Next::Ask, &At::Password, 1));
    assert!(again.evidence.is_empty() && again.user.is_none());
}

fn entered() -> Entered {
    Entered { phone: [1; 16], number: vec![1], lookup: vec![2], masked: "…0001".to_owned() }
}

/// SMS-25, SMS-26, SMS-27, SMS-34: from the code page to the registration and back to the login.
#[test]
fn a_number_is_changed_during_the_login() {
    for login in [Some(2.0), None] {
        let (mut journey, _) = after_password(&FACTS);
        journey.sms_sent("sms1", [3; 16], false);
        assert!(journey.register());
        let change = Effect::BeginChange { authenticator: "sms1".to_owned() };
        assert_eq!(journey.next(Some(&FACTS)), Next::Do(change));
        journey.change_wanted("sms1", vec![Step::Oath], true);
        assert!(matches!(journey.at, At::Info { .. }));
        journey.on();
        assert_eq!((journey.next(Some(&FACTS)), &journey.at), (Next::Ask, &At::Oath));
        journey.shown(Evidence::Otp, 2.0);
        assert!(matches!(journey.next(Some(&FACTS)), Next::Do(Effect::BeginChange { .. })));
        journey.number_wanted(Rule::Change { authenticator: "sms1".to_owned(), iak: false });
        journey.number_entered(entered(), [4; 16]);
        assert!(journey.back() && matches!(journey.at, At::Number(_)));
        journey.number_entered(entered(), [5; 16]);
        journey.number_applied(false, login);
        let next = journey.next(Some(&FACTS));
        assert_eq!(next, if login.is_some() { Next::Ask } else { send() });
    }
}

/// OATH-29, OATH-32, D-61: migration is offered for the next method, may be put off, and sets the method.
#[test]
fn migration_is_offered_and_sets_the_method() {
    let facts = Facts { next: Some(Method::OathOtp), ..FACTS };
    let (mut journey, _) = after_password(&facts);
    journey.shown(Evidence::Sms, 2.0);
    journey.next(Some(&facts));
    assert!(matches!(journey.at, At::Migrate { can_skip: true, .. }));
    let mut skipped = journey.clone();
    assert!(skipped.skip() && !skipped.skip());
    assert_eq!((skipped.next(Some(&facts)), &skipped.at), (Next::Ask, &At::Done));
    assert!(!journey.choose("FAX") && journey.choose("OATH_OTP"));
    let begin = Effect::BeginActivation { overwrite: true };
    assert_eq!(journey.next(Some(&facts)), Next::Do(begin));
    journey.activating([7; 16], false);
    journey.activation_done([7; 16]);
    assert_eq!(journey.next(Some(&facts)), Next::Do(Effect::SetMethod(Method::OathOtp)));
    let mut third = Journey { skips: 3, ..Journey::start(&login()) };
    third.shown(Evidence::Assertion, 1.0);
    third.shown(Evidence::Sms, 2.0);
    third.next(Some(&facts));
    assert!(matches!(third.at, At::Migrate { can_skip: false, .. }) && !third.skip());
}

/// OATH-37, OATH-39, AT-15: a new user always gets a new secret, and is written last.
#[test]
fn a_new_user_is_written_last() {
    for overwrite_existing in [true, false] {
        let steps = vec![Step::OathActivate { overwrite_existing }, Step::SetMethod(Method::OathOtp)];
        let select = Step::Select(vec![option("OATH_OTP_ACTIVATION", Condition::Always, steps, None)]);
        let mut journey = Journey::start(&definition(vec![Step::Details, select, Step::Persist]));
        assert_eq!((journey.next(None), &journey.at), (Next::Ask, &At::Details));
        journey.newcomer = true;
        journey.on();
        assert_eq!(journey.next(None), Next::Do(Effect::BeginActivation { overwrite: true }));
        journey.activating([7; 16], false);
        journey.activation_done([7; 16]);
        assert_eq!(journey.next(None), Next::Do(Effect::Persist));
        assert_eq!((journey.method, journey.activated), (Some(Method::OathOtp), Some([7; 16])));
    }
}

/// SMS-07, SMS-09: alone it asks for the name; after another factor it does not.
#[test]
fn the_name_is_asked_for_once() {
    let steps = vec![Step::Username, Step::Sms("sms1".to_owned())];
    let mut first = Journey::start(&definition(steps.clone()));
    assert_eq!((first.next(None), &first.at), (Next::Ask, &At::Username));
    let mut second = Journey::start(&definition(steps));
    second.name = Some("alice".to_owned());
    assert_eq!(second.next(Some(&FACTS)), send());
}

/// D-28: a resynchronisation shows nothing by itself: the code is asked for again.
#[test]
fn a_resynchronised_token_has_shown_nothing_yet() {
    let (mut journey, _) = after_password(&Facts { active: Method::OathOtp, has_oath: true, ..FACTS });
    let before = (journey.evidence.clone(), journey.loa);
    assert!(journey.resync() && !journey.resync());
    assert_eq!((journey.next(Some(&FACTS)), &journey.at), (Next::Ask, &At::OathResync));
    journey.on();
    assert_eq!((journey.next(Some(&FACTS)), &journey.at), (Next::Ask, &At::Oath));
    assert_eq!((journey.evidence, journey.loa), before);
}

const RULE: PushRule = PushRule { else_oath: true, optional: false };

fn to_push(rule: PushRule, facts: &Facts) -> (Journey, Next) {
    let mut journey = Journey::start(&definition(vec![Step::Password, Step::Push(rule)]));
    journey.next(None);
    journey.shown(Evidence::Password, 1.0);
    let next = journey.next(Some(facts));
    (journey, next)
}

/// COMB-05, COMB-45: the phone, then a code, then a recovery code; and each user where there is no phone.
#[test]
fn push_falls_back_to_a_code_and_a_recovery_code() {
    let facts = Facts { has_push: true, has_oath: true, ..FACTS };
    let (mut journey, next) = to_push(RULE, &facts);
    assert_eq!(next, Next::Do(Effect::SendPush(RULE)));
    journey.pushed(RULE, [8; 16]);
    let mut approved = journey.clone();
    approved.shown(Evidence::Push, 1.5);
    assert_eq!((approved.next(Some(&facts)), &approved.at), (Next::Ask, &At::Done));
    assert!(journey.code_instead() && !journey.code_instead());
    assert_eq!((journey.next(Some(&facts)), &journey.at), (Next::Ask, &At::Oath));
    assert!(journey.recover() && !journey.recover());
    assert_eq!(journey.next(Some(&facts)), Next::Do(Effect::AskRecovery));
    journey.recovering([9; 16]);
    journey.shown(Evidence::Recovery, 1.5);
    assert_eq!((journey.next(Some(&facts)), &journey.at), (Next::Ask, &At::Done));
    assert_eq!(journey.evidence, [Evidence::Password, Evidence::Recovery]);

    let strict = PushRule::default();
    let (mut journey, _) = to_push(strict, &facts);
    journey.pushed(strict, [8; 16]);
    assert!(!journey.code_instead() && journey.recover());
    assert_eq!(to_push(RULE, &Facts { has_oath: true, ..FACTS }).0.at, At::Oath);
    assert_eq!(to_push(RULE, &FACTS).0.at, At::Failed(NO_PHONE.to_owned()));
    assert_eq!(to_push(strict, &FACTS).0.at, At::Failed(NO_PHONE.to_owned()));
    let optional = PushRule { optional: true, ..strict };
    assert_eq!(to_push(optional, &FACTS).0.at, At::Done);
    // Whose phone was lost is not let in without it.
    let lost = Facts { has_push_aside: true, ..FACTS };
    assert_eq!(to_push(optional, &lost).0.at, At::Failed(NO_PHONE.to_owned()));
    let recovers = Facts { can_recover: true, ..lost };
    assert_eq!(to_push(strict, &recovers).1, Next::Do(Effect::AskRecovery));
    assert_eq!(to_push(RULE, &Facts { has_oath: true, ..recovers }).0.at, At::Oath);
}

/// COMB-01, COMB-13, COMB-35: register, keep the codes, be asked on the phone.
#[test]
fn a_registration_shows_its_codes_before_the_flow_goes_on() {
    let register = Step::MfaRegister { kind: Kind::Combined, replace: false };
    let mut journey = Journey::start(&definition(vec![Step::Password, register, Step::Push(RULE)]));
    journey.next(None);
    journey.shown(Evidence::Password, 1.0);
    let begin = Effect::BeginMfa { kind: Kind::Combined, replace: false };
    assert_eq!(journey.next(Some(&FACTS)), Next::Do(begin));
    journey.registering_phone(Kind::Combined, false, [6; 16]);
    let hard = Facts { has_hardware: true, ..FACTS };
    let mut other = Journey::start(&definition(vec![
        Step::Password,
        Step::MfaRegister { kind: Kind::Push, replace: true },
    ]));
    other.next(None);
    other.shown(Evidence::Password, 1.0);
    assert_eq!((other.next(Some(&hard)), &other.at), (Next::Ask, &At::Oath), "what is there is shown first");
    other.shown(Evidence::Otp, 2.0);
    assert!(matches!(other.next(Some(&hard)), Next::Do(Effect::BeginMfa { .. })));
    let mut bare = journey.clone();
    bare.phone_registered([6; 16], false);
    assert_eq!(bare.at, At::Between);
    journey.phone_registered([6; 16], true);
    assert_eq!(journey.at, At::RecoveryCodes { registration: [6; 16] });
    journey.on();
    let facts = Facts { has_push: true, has_oath: true, ..FACTS };
    assert_eq!(journey.next(Some(&facts)), Next::Do(Effect::SendPush(RULE)));
}

#[test]
fn a_failed_flow_goes_nowhere() {
    let (mut journey, _) = after_password(&FACTS);
    journey.fail("x");
    assert!(journey.has_ended() && !journey.choose("SMS") && !journey.skip() && !journey.register());
    assert_eq!(journey.next(Some(&FACTS)), Next::Ask);
}
