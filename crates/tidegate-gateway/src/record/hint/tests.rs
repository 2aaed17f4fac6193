use super::*;

#[test]
fn a_cut_at_a_round_number_of_seconds_names_the_limit_that_fits() {
    let seconds = Duration::from_secs_f64;
    let silence = of_cut(seconds(87.2), seconds(60.2)).expect("fits nginx");
    assert!(silence.contains("nginx"), "{silence}");
    let age = of_cut(seconds(15.02), seconds(0.4)).expect("fits Envoy");
    assert!(age.contains("Envoy"), "{age}");
}

#[test]
fn a_cut_at_any_other_time_is_the_clients_own() {
    let seconds = Duration::from_secs_f64;
    for (age, silence) in [(2.0, 0.02), (14.5, 3.0), (61.0, 59.0), (33.3, 31.0)] {
        assert_eq!(of_cut(seconds(age), seconds(silence)), None, "{age} {silence}");
    }
}
