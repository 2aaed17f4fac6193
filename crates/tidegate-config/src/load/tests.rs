use super::*;

#[test]
fn tmp() {
    let text = r#"
[server]
head_after = "5"
keepalive = 10
lisen = "127.0.0.1:80"
max_streams = 0
listen = ":8080"
[providers.openai]
base_url = "https://u:p@api.openai.com/v1"
api_key = "sk-very-secret
"#;
    println!("{}", Config::load(&Sources::of_text(text)).unwrap_err());
    println!("{}", Config::load(&Sources::of_text(text.replace("very-secret", "very-secret\""))).unwrap_err());
    println!("{}", crate::show(&Config::load(&Sources::of_text("")).unwrap().config));
    println!("{}", crate::schema());
    println!("{}", crate::reference_markdown());
}
