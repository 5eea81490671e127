//! The arrows of B.5.6: each where it belongs and nowhere else, and each guard by itself.

use super::policy::tests::desk;
use super::policy::{Activator, Column, Demand};
use super::*;
use crate::time::{BootId, Now};
use crate::token::Id;

const APPLICANT: Id = [1; 16];
const RA: Id = [2; 16];
const OTHER_RA: Id = [3; 16];
const TOKEN: Id = [4; 16];
const OTHER_TOKEN: Id = [5; 16];
const DAY: i64 = 24 * 60 * 60 * 1000;
const PROOF: Check = Check::Proof { kind: ProofKind::IdDocument, security_features: true, vouched: None };

fn at(steady_ms: i64) -> Now {
    Now { wall_ms: steady_ms, steady_ms, boot: BootId([1; 16]), boot_ms: 0 }
}

fn order() -> Order {
    Order {
        id: [9; 16],
        user: APPLICANT,
        factor_index: 2,
        channel: Channel::LocalLogin,
        by: Requester::Applicant,
        method: Method::OnPremise,
        target: Level::Three,
        policy: "1".to_owned(),
    }
}

fn ra() -> Vetter {
    Vetter { person: RA, level: Level::Three }
}

/// Runs `act` under the rules of a desk.
fn by<T>(order: &Order, column: &Column, act: impl FnOnce(&Rules<'_>) -> T) -> T {
    act(&Rules { order, column, now: &at(0) })
}

fn under<T>(act: impl FnOnce(&Rules<'_>) -> T) -> T {
    by(&order(), &desk(), act)
}

/// As far as the desk, with a token that was shown on the way.
fn coded() -> Progress {
    under(|rules| {
        let asked = Progress::requested(rules.order, true, rules.now)?.eligible(rules.now)?;
        let shown = asked.selected(rules, Factor::Hardware)?.possession_pre(rules, TOKEN)?;
        shown.code_issued(rules, 14 * DAY)
    })
    .unwrap()
}

fn vetting() -> Progress {
    under(|rules| coded().vetting(rules, Some(&ra()))).unwrap()
}

fn vetted() -> Progress {
    under(|rules| vetting().possession_bind(rules, TOKEN)?.checked(rules, PROOF)?.vetted(rules)).unwrap()
}

fn active() -> Progress {
    under(|rules| vetted().bound(rules)?.activated(rules, Some(&ra()))).unwrap()
}

type Act = fn(Progress, &Rules<'_>) -> Result<Progress, Refusal>;

/// Each act with the states in which it is allowed, as the initials of [`State::ALL`]'s places.
const ACTS: &[(&str, Act, &[State])] = {
    use State as S;
    &[
        (
            "eligible",
            |p, r| p.eligible(r.now),
            &[
                S::Requested,
                S::Eligible,
                S::FactorSelected,
                S::PossessionProven,
                S::CodeIssued,
                S::Scheduled,
                S::Vetting,
            ],
        ),
        (
            "selected",
            |p, r| p.selected(r, Factor::Hardware),
            &[
                S::Eligible,
                S::FactorSelected,
                S::PossessionProven,
                S::CodeIssued,
                S::Scheduled,
                S::Vetting,
                S::Vetted,
            ],
        ),
        ("possession_pre", |p, r| p.possession_pre(r, TOKEN), &[S::FactorSelected, S::PossessionProven]),
        ("code_issued", |p, r| p.code_issued(r, DAY), &[S::Eligible, S::FactorSelected, S::PossessionProven]),
        ("scheduled", |p, r| p.scheduled(r), &[S::CodeIssued, S::Scheduled]),
        ("vetting", |p, r| p.vetting(r, Some(&ra())), &[S::CodeIssued, S::Scheduled]),
        ("proof", |p, r| p.checked(r, PROOF), &[S::Vetting]),
        ("liveness", |p, r| p.checked(r, Check::Liveness), &[S::Vetting]),
        ("source", |p, r| p.checked(r, Check::Source), &[S::Vetting]),
        ("vetted", |p, r| p.vetted(r), &[S::Vetting]),
        ("seconded", |p, r| p.seconded(r, &Vetter { person: OTHER_RA, ..ra() }), &[S::Vetted, S::Bound]),
        ("handed_over", |p, r| p.handed_over(r, TOKEN), &[S::Vetted]),
        ("possession_bind", |p, r| p.possession_bind(r, TOKEN), &[S::Vetting, S::Vetted]),
        ("bound", |p, r| p.bound(r), &[S::Vetted]),
        ("activated", |p, r| p.activated(r, Some(&ra())), &[S::Bound]),
        ("confirmed", |p, r| p.confirmed(r.now), &[S::Active]),
        ("revoked", |p, r| p.revoked(r.now), &[S::Active, S::Confirmed]),
        ("begun anew", |p, r| p.begun_anew(r.now), &[S::Vetting, S::Vetted]),
    ]
};

/// AT-16, BIND-29: every act in every state: it goes where B.5.6 draws an arrow, and is refused where it does not.
#[test]
fn acts_belong_to_their_states() {
    for (name, act, allowed) in ACTS {
        for state in State::ALL {
            // All else is done: only the state stands in the way.
            let here = Progress { state: *state, vetter: Some(RA), ..active() };
            let outcome = under(|rules| act(here, rules));
            match allowed.contains(state) {
                true => assert!(outcome.is_ok(), "{name} in {}: {outcome:?}", state.name()),
                false => assert_eq!(outcome, Err(Refusal::WrongState(state.name())), "{name}"),
            }
        }
    }
}

/// BIND-42, B.5.6 (16): whatever is under way can be given up, refused or run out; what took effect or is over cannot.
#[test]
fn what_is_under_way_can_end() {
    for state in State::ALL {
        let here = Progress { state: *state, ..active() };
        for end in [State::Rejected, State::Cancelled, State::Expired] {
            let ended = here.ended(end, &at(1));
            assert_eq!(ended.is_ok(), state.is_open(), "{} to {}", state.name(), end.name());
            assert!(ended.is_err() || ended.unwrap().state == end);
        }
        assert!(here.ended(State::Active, &at(1)).is_err(), "only ends are ends");
    }
}

/// BIND-06, D-46: who asks for themselves shows a first factor; a desk need not.
#[test]
fn who_asks_shows_a_first_factor() {
    assert_eq!(Progress::requested(&order(), false, &at(0)), Err(Refusal::NoFirstFactor));
    let desk = Order { by: Requester::Desk, channel: Channel::Desk, ..order() };
    let asked = Progress::requested(&desk, false, &at(0)).unwrap();
    assert!(!asked.done.has(Activity::FirstFactor));
    assert!(Progress::requested(&order(), true, &at(0)).unwrap().done.has(Activity::FirstFactor));
}

/// BIND-35: nobody vets themselves, nor above the own level; neither begins, seconds or activates.
#[test]
fn a_registration_authority_has_bounds() {
    let oneself = Vetter { person: APPLICANT, ..ra() };
    let lower = Vetter { level: Level::Two, ..ra() };
    for (vetter, refusal) in [(oneself, Refusal::SelfVetting), (lower, Refusal::VetterTooLow)] {
        under(|rules| {
            assert_eq!(coded().vetting(rules, Some(&vetter)), Err(refusal));
            assert_eq!(vetted().seconded(rules, &vetter), Err(refusal));
            assert_eq!(vetted().bound(rules).unwrap().activated(rules, Some(&vetter)), Err(refusal));
        });
    }
    under(|rules| {
        assert_eq!(coded().vetting(rules, None), Err(Refusal::WrongActor));
        assert_eq!(vetted().bound(rules).unwrap().activated(rules, None), Err(Refusal::WrongActor));
        assert_eq!(vetted().seconded(rules, &ra()), Err(Refusal::SecondPerson), "who vets is not the second");
    });
}

/// BIND-34, BIND-12, D-51: a code has an end, and so has the finding that somebody is eligible.
#[test]
fn time_runs_out() {
    let (order, column) = (order(), desk());
    let vet = |now: i64, from: Progress| {
        from.vetting(&Rules { order: &order, column: &column, now: &at(now) }, Some(&ra()))
    };
    assert!(vet(ELIGIBLE_MS, coded()).is_ok());
    assert_eq!(vet(ELIGIBLE_MS + 1, coded()), Err(Refusal::EligibilityStale));
    assert!(vet(ELIGIBLE_MS + 1, coded().eligible(&at(ELIGIBLE_MS + 1)).unwrap()).is_ok());
    assert_eq!(vet(14 * DAY, coded()), Err(Refusal::CodeExpired));
    assert_eq!(coded().aged(&at(14 * DAY)).state, State::Expired);
    assert_eq!(vetting().aged(&at(14 * DAY)).state, State::Vetting, "begun in time");
    assert_eq!(vetting().aged(&at(IDLE_MS)).state, State::Expired);
    assert_eq!(active().aged(&at(i64::MAX)).state, State::Active, "a binding does not run out");
}

/// B.5.6: at the desk the factor is shown first, then the identity, then the rest; no other order goes.
#[test]
fn a_desk_has_an_order() {
    use Activity::{PossessionBind, VetProof};
    under(|rules| {
        assert_eq!(vetting().checked(rules, PROOF), Err(Refusal::Missing(PossessionBind)));
        assert_eq!(vetting().checked(rules, Check::Source), Err(Refusal::Missing(VetProof)));
        assert_eq!(vetting().vetted(rules), Err(Refusal::Missing(VetProof)));
        let shown = vetting().possession_bind(rules, TOKEN).unwrap();
        let code = Check::Proof { kind: ProofKind::ActivationCode, security_features: true, vouched: None };
        assert_eq!(shown.checked(rules, code), Err(Refusal::WrongProof), "a code is no document (D-47)");
    });
}

/// AT-17, BIND-24, BIND-39, D-52: another token than the one that was shown before binds nothing; the process begins
/// anew at the choice, with nothing left of the vetting.
#[test]
fn another_token_is_a_mismatch() {
    under(|rules| {
        assert_eq!(vetting().possession_bind(rules, OTHER_TOKEN), Err(Refusal::TokenMismatch));
        assert_eq!(vetted().handed_over(rules, OTHER_TOKEN), Err(Refusal::TokenMismatch));
        let anew = vetted().begun_anew(rules.now).unwrap();
        assert_eq!((anew.state, anew.item, anew.vetter), (State::FactorSelected, None, None));
        let left: Vec<Activity> = anew.done.iter().collect();
        use Activity as A;
        assert_eq!(left, [A::Request, A::FirstFactor, A::Eligibility, A::Selection]);
        assert!(anew.possession_pre(rules, OTHER_TOKEN).is_ok());
    });
}

/// BIND-20, BIND-23: a token that is handed over is shown after that, and not bound before.
#[test]
fn a_token_is_handed_over_and_shown() {
    let order = Order { by: Requester::Desk, ..order() };
    by(&order, &desk(), |rules| {
        let asked = Progress::requested(&order, false, rules.now).unwrap().eligible(rules.now).unwrap();
        let begun = asked.vetting(rules, Some(&ra())).unwrap().selected(rules, Factor::Hardware).unwrap();
        let vetted = begun.checked(rules, PROOF).unwrap().vetted(rules).unwrap();
        assert_eq!(vetted.bound(rules), Err(Refusal::Missing(Activity::PossessionBind)));
        let held = vetted.handed_over(rules, TOKEN).unwrap();
        assert_eq!(held.bound(rules), Err(Refusal::Missing(Activity::PossessionBind)));
        let bound = held.possession_bind(rules, TOKEN).unwrap().bound(rules).unwrap();
        let active = bound.activated(rules, Some(&ra())).unwrap();
        assert_eq!((active.state, active.level), (State::Active, Some(Level::Three)));
    });
}

/// BIND-40, B.6: what comes out below its aim does not take effect; a second person is asked for where the policy says.
#[test]
fn a_level_too_low_takes_no_effect() {
    let plain = Check::Proof { kind: ProofKind::IdDocument, security_features: false, vouched: None };
    under(|rules| {
        let seen = vetting().possession_bind(rules, TOKEN).unwrap().checked(rules, plain).unwrap();
        let bound = seen.vetted(rules).unwrap().bound(rules).unwrap();
        assert_eq!(bound.activated(rules, Some(&ra())), Err(Refusal::LevelTooLow(Level::Two)));
    });
    let column = Column { second_person: true, ..desk() };
    by(&order(), &column, |rules| {
        assert_eq!(vetted().bound(rules).unwrap().activated(rules, Some(&ra())), Err(Refusal::SecondPerson));
        let seconded = vetted().seconded(rules, &Vetter { person: OTHER_RA, ..ra() }).unwrap();
        assert!(seconded.bound(rules).unwrap().activated(rules, Some(&ra())).is_ok());
    });
}

/// BIND-08, D-50: what the policy does not allow is not chosen; once a factor was shown no other one is.
#[test]
fn a_factor_is_chosen_from_those_allowed() {
    let column = Column { factors: vec![Factor::Hardware, Factor::Soft], ..desk() };
    by(&order(), &column, |rules| {
        let eligible =
            Progress::requested(rules.order, true, rules.now).unwrap().eligible(rules.now).unwrap();
        assert_eq!(eligible.selected(rules, Factor::Sms), Err(Refusal::FactorNotAllowed));
        let chosen = eligible.selected(rules, Factor::Soft).unwrap();
        assert_eq!(chosen.selected(rules, Factor::Hardware).unwrap().factor, Some(Factor::Hardware));
        assert_eq!(coded().selected(rules, Factor::Soft), Err(Refusal::TokenMismatch));
    });
}

/// D-50, D-55: an app gets one token of its own, once it is chosen, and then shows that one; an appointment is given back
/// as long as nobody vets.
#[test]
fn an_app_gets_one_token_and_a_time_is_given_back() {
    let column = Column { factors: vec![Factor::Soft], ..desk() };
    by(&order(), &column, |rules| {
        let now = rules.now;
        let eligible = Progress::requested(rules.order, true, now).unwrap().eligible(now).unwrap();
        assert_eq!(eligible.made(now, Factor::Soft, TOKEN), Err(Refusal::WrongState("eligible")));
        let made = eligible.selected(rules, Factor::Soft).unwrap().made(now, Factor::Soft, TOKEN).unwrap();
        assert_eq!((made.item, made.state), (Some(TOKEN), State::FactorSelected), "it is yet to be shown");
        assert_eq!(made.made(now, Factor::Soft, OTHER_TOKEN), Err(Refusal::TokenMismatch));
        assert_eq!(made.possession_pre(rules, OTHER_TOKEN), Err(Refusal::TokenMismatch));
        assert!(made.possession_pre(rules, TOKEN).is_ok());
        assert_eq!(
            coded().made(now, Factor::Soft, TOKEN),
            Err(Refusal::FactorNotAllowed),
            "a hardware token is not made"
        );
        assert_eq!(
            coded().made(now, Factor::Push, TOKEN),
            Err(Refusal::FactorNotAllowed),
            "nor is it a phone"
        );
        let chosen = eligible.selected(rules, Factor::Soft).unwrap();
        assert_eq!(
            chosen.made(now, Factor::Push, TOKEN),
            Err(Refusal::FactorNotAllowed),
            "an app was chosen"
        );
        assert_eq!(coded().unscheduled(now), Err(Refusal::WrongState("code_issued")));
        let scheduled = coded().scheduled(rules).unwrap();
        let back = scheduled.unscheduled(now).unwrap();
        assert_eq!((back.state, back.done.has(Activity::Scheduling)), (State::CodeIssued, false));
        assert_eq!(vetting().unscheduled(now), Err(Refusal::WrongState("vetting")));
    });
}

/// A column as the shipped file has it for the letter, or for nobody's vetting.
fn by_itself(method: Method) -> Column {
    use Activity as A;
    let vets = method == Method::Letter;
    let demands = Activity::ALL.iter().map(|activity| match activity {
        A::Vet | A::VetProof | A::VetRecord if !vets => Demand::NotApplicable,
        A::Arrange | A::Scheduling | A::VetLiveness | A::VetSource | A::HandOver => Demand::NotApplicable,
        A::PossessionBind => Demand::UnlessPre,
        _ => Demand::Mandatory,
    });
    Column {
        method,
        level: if vets { Level::Two } else { Level::OneHalf },
        demands: demands.collect(),
        activate_by: Activator::System,
        second_person: false,
        source_required: false,
        factors: vec![Factor::Sms],
    }
}

/// AT-18, BIND-25, BIND-33, D-56: a letter is one method of the same engine, and ends at level 2; who vouches for
/// oneself gets 1.5. The appliance does what a person does elsewhere.
#[test]
fn a_letter_and_a_word_of_honour() {
    let key = Check::Proof { kind: ProofKind::ActivationCode, security_features: true, vouched: None };
    let order = Order { method: Method::Letter, target: Level::Two, ..order() };
    by(&order, &by_itself(Method::Letter), |rules| {
        let asked = Progress::requested(&order, true, rules.now).unwrap().eligible(rules.now).unwrap();
        let shown = asked.selected(rules, Factor::Sms).unwrap().possession_pre(rules, TOKEN).unwrap();
        assert_eq!(shown.code_issued(rules, DAY), Err(Refusal::NotApplicable(Activity::Arrange)));
        assert_eq!(shown.bound(rules), Err(Refusal::WrongState("possession_proven")), "not unvetted");
        assert_eq!(shown.vetting(rules, Some(&ra())), Err(Refusal::WrongActor));
        let vetted = shown.vetting(rules, None).unwrap().checked(rules, key).unwrap().vetted(rules).unwrap();
        let active = vetted.bound(rules).unwrap().activated(rules, None).unwrap();
        assert_eq!(active.level, Some(Level::Two));
    });
    let order = Order { method: Method::SelfAsserted, target: Level::OneHalf, ..order };
    by(&order, &by_itself(Method::SelfAsserted), |rules| {
        let asked = Progress::requested(&order, true, rules.now).unwrap().eligible(rules.now).unwrap();
        let shown = asked.selected(rules, Factor::Sms).unwrap().possession_pre(rules, TOKEN).unwrap();
        assert_eq!(shown.vetting(rules, None), Err(Refusal::NotApplicable(Activity::VetProof)));
        let active = shown.bound(rules).unwrap().activated(rules, None).unwrap();
        assert_eq!(active.level, Some(Level::OneHalf));
    });
}

/// B.6, BIND-33: an own token, or an assertion, vouches for no more than its own level; nothing vouches at a desk.
#[test]
fn who_vouches_gives_no_more_than_there_is() {
    let proof = |vouched| Check::Proof { kind: ProofKind::ExistingFactor, security_features: true, vouched };
    let order = Order { method: Method::SelfVet, target: Level::Two, ..order() };
    let column = Column { method: Method::SelfVet, ..by_itself(Method::Letter) };
    by(&order, &column, |rules| {
        let asked = Progress::requested(&order, true, rules.now).unwrap().eligible(rules.now).unwrap();
        let shown = asked.selected(rules, Factor::Sms).unwrap().possession_pre(rules, TOKEN).unwrap();
        let level = |vouched| {
            let seen = shown.vetting(rules, None)?.checked(rules, proof(vouched))?;
            Ok(seen.vetted(rules)?.bound(rules)?.activated(rules, None)?.level)
        };
        assert_eq!(level(Some(Level::Three)), Ok(Some(Level::Two)), "a phone is no more than 2");
        assert_eq!(level(Some(Level::OneHalf)), Err(Refusal::LevelTooLow(Level::OneHalf)));
        assert_eq!(level(None), Err(Refusal::LevelTooLow(Level::One)));
    });
    let proof =
        Check::Proof { kind: ProofKind::IdDocument, security_features: true, vouched: Some(Level::Three) };
    let seen = under(|rules| vetting().possession_bind(rules, TOKEN)?.checked(rules, proof)).unwrap();
    assert_eq!(seen.vouched, None);
}

/// A22: nothing of an enrolment can be changed outside without its MAC.
#[test]
fn the_state_bytes_cover_everything() {
    let (order, base) = (order(), active());
    let bytes = base.bytes(&order, None);
    let orders = [
        Order { user: RA, ..order.clone() },
        Order { factor_index: 1, ..order.clone() },
        Order { channel: Channel::Desk, ..order.clone() },
        Order { by: Requester::Desk, ..order.clone() },
        Order { method: Method::Video, ..order.clone() },
        Order { target: Level::Two, ..order.clone() },
        Order { policy: "2".to_owned(), ..order.clone() },
    ];
    let moved = [
        Progress { state: State::Bound, ..base },
        Progress { done: Done::default(), ..base },
        Progress { factor: Some(Factor::Soft), ..base },
        Progress { item: Some(OTHER_TOKEN), ..base },
        Progress { eligible_at_ms: Some(1), ..base },
        Progress { code_until_ms: None, ..base },
        Progress { vetter: Some(OTHER_RA), ..base },
        Progress { second: Some(OTHER_RA), ..base },
        Progress { vouched: Some(Level::Three), ..base },
        Progress { security_features: false, ..base },
        Progress { level: Some(Level::Two), ..base },
        Progress { acted_at_ms: 7, ..base },
    ];
    assert!(orders.iter().all(|other| base.bytes(other, None) != bytes));
    assert!(moved.iter().all(|other| other.bytes(&order, None) != bytes));
    assert_ne!(base.bytes(&order, Some(&[0; 32])), bytes);
}
