use super::*;

#[test]
fn each_model_name_belongs_to_the_class_of_its_words() {
    let table = [
        ("gpt-4o-mini", "small"),
        ("gpt-5-nano", "small"),
        ("claude-haiku-4-5", "small"),
        ("claude-3-haiku-20240307", "small"),
        ("gemini-2.5-flash", "small"),
        ("mistral-small-latest", "small"),
        ("gpt-3.5-turbo", "small"),
        ("GPT-4o", "mid"),
        ("gpt-4o-2024-08-06", "mid"),
        ("chatgpt-4o-latest", "mid"),
        ("gpt-4.1", "mid"),
        ("gpt-4-turbo", "mid"),
        ("anthropic/claude-sonnet-4-5", "mid"),
        ("claude-opus-4-1", "large"),
        ("gpt-4.5-preview", "large"),
        ("gpt-5", "large"),
        ("gpt-5.1", "large"),
        ("o1", "thinking"),
        ("o3-mini", "thinking"),
        ("openai/o4-mini-high", "thinking"),
        ("deepseek-r1:70b", "thinking"),
        ("deepseek-reasoner", "thinking"),
        ("claude-3-7-sonnet-thinking", "thinking"),
        ("gemini-2.5-pro", "standard"),
        ("größe:mini", "small"),
        ("émini", "standard"),
        ("minié", "standard"),
        ("minimax-m2", "standard"),
        ("proto1", "standard"),
        ("mock", "standard"),
        ("", "standard"),
    ];
    for (model, class) in table {
        assert_eq!(class_of(model), class, "{model}");
    }
}

#[test]
fn every_class_names_a_standard_profile() {
    let profiles = Profiles::default();
    for (class, _) in CLASSES {
        assert!(profiles.get(class).is_some(), "{class}");
    }
}

#[test]
fn a_changed_standard_profile_changes_every_model_of_its_class() {
    let mut profiles = Profiles::default();
    profiles.set("small", TimeoutProfile::LARGE);
    assert_eq!(profiles.for_model("gpt-4o-mini"), ("small", TimeoutProfile::LARGE));
}
