//! `[prices.NAME]`

use std::collections::BTreeMap;

use super::{Judge, models};
use crate::config::PriceSettings;
use crate::file::PriceFile;
use crate::path::KeyPath;

pub(super) fn prices(files: &BTreeMap<String, PriceFile>, judge: &mut Judge<'_>) -> BTreeMap<String, PriceSettings> {
    files.iter().map(|(name, file)| (name.clone(), price(name, file, judge))).collect()
}

fn price(name: &str, file: &PriceFile, judge: &mut Judge<'_>) -> PriceSettings {
    let path = KeyPath::of(&["prices", name]);
    models::check_name(name, &path, "write \"provider/model\", \"model\" or \"prefix*\", without spaces around it", judge);
    let &PriceFile { input, output, cached_input, reasoning, context_window } = file;
    match (input, output) {
        (Some(_), None) => judge.fault(&path.join("output"), "is missing beside input", "add output = …"),
        (None, Some(_)) => judge.fault(&path.join("input"), "is missing beside output", "add input = …"),
        (Some(_), Some(_)) => {}
        (None, None) => {
            for (name, _) in [("cached_input", cached_input), ("reasoning", reasoning)].into_iter().filter(|(_, price)| price.is_some()) {
                judge.fault(&path.join(name), "has no effect without input and output", "add both, or remove it");
            }
            if [cached_input, reasoning].iter().all(Option::is_none) && context_window.is_none() {
                judge.fault(&path, "nothing is set here", "add input = … and output = …, or context_window = …");
            }
        }
    }
    PriceSettings { input, output, cached_input, reasoning, context_window: context_window.map(|tokens| tokens.get().into()) }
}
