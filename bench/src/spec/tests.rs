use super::*;

#[test]
fn a_spec_reads_back_what_it_wrote() {
    for mode in [Mode::Whole, Mode::Paced { gap: Duration::from_millis(20) }, Mode::Flat, Mode::Silent] {
        let spec = Spec { mode, think: Duration::from_millis(7), events: 12 };
        assert_eq!(spec.to_string().parse::<Spec>().unwrap(), spec);
    }
}

#[test]
fn an_unknown_mode_is_refused_by_name() {
    assert!("tidal,gap=1".parse::<Spec>().unwrap_err().to_string().contains("tidal"));
}
