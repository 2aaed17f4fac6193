use super::*;

#[test]
fn quantiles_are_values_that_were_measured() {
    let mut samples = Samples::default();
    (1..=101).rev().for_each(|value| samples.add(value));
    assert_eq!((samples.quantile(0.5), samples.quantile(0.99), samples.quantile(1.0)), (51, 100, 101));
    assert_eq!(Samples::default().quantile(0.5), 0);
}

#[test]
fn the_median_of_an_even_number_is_the_mean_of_the_middle_two() {
    assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
    assert_eq!(median(&[3.0, 9.0, 1.0]), Some(3.0));
    assert_eq!(median(&[]), None);
}
