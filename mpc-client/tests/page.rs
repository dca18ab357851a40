//! The gateway's page in a real browser.

mod browser;
mod project;
mod served;

use browser::Browser;
use project::{models, samples};
use served::serve;
use std::os::unix::fs::symlink;
use tempfile::tempdir;

/// Helpers for the checks below: `until` resolves to the text of the first matching element, once there is one.
const WATCH: &str = "
    window.until = (selector, text = '') => new Promise((resolve, reject) => {
        const look = () => {
            const found = [...document.querySelectorAll(selector)].find(element => element.innerText.includes(text));
            if (found) { observer.disconnect(); resolve(found.innerText); }
        };
        const observer = new MutationObserver(look);
        observer.observe(document, { childList: true, subtree: true, characterData: true, attributes: true });
        setTimeout(() => reject(new Error(`no ${selector} ${text}: ${document.body.innerText}`)), 45000);
        look();
    });
    window.press = id => document.getElementById(id).click();
    window.pick = question => {
        document.getElementById('question').value = question;
        document.getElementById('question').dispatchEvent(new Event('change'));
    };";

#[test]
fn a_person_asks_with_pictures_and_with_their_voice() {
    let dir = tempdir().unwrap();
    std::fs::create_dir(dir.path().join("models")).unwrap();
    for model in ["face", "emotion"] {
        symlink(models().join(model), dir.path().join("models").join(model)).unwrap();
    }
    let (_gateway, address) = serve(dir.path(), &["--local", "--listen", "127.0.0.1:0"]);
    let Some(mut page) = Browser::open(address, &samples("emotion")[0].file) else {
        eprintln!("skipped: no Chromium here");
        return;
    };
    page.run(WATCH);
    let ask = |page: &mut Browser| {
        page.run("until('#ask:enabled').then(() => (press('ask'), until('#answer td.label, #answer .error')))")
    };

    let faces = samples("face");
    page.run("pick('classify')");
    page.choose("#chosen", &faces[0].file);
    assert_eq!(ask(&mut page), faces[0].label.as_str(), "a file that was chosen");
    page.run("press('clear')");
    page.drop_on("#drop", &faces[1].file);
    assert_eq!(page.run("until('#files li')"), "face-3.png");
    page.run("document.querySelector('#files img').decode()");
    assert_eq!(ask(&mut page), faces[1].label.as_str(), "a file that was dropped");

    // The microphone hears a recording; the model looks at 2.4 s of it.
    page.run("press('clear'), pick('emotion'), press('record')");
    page.run("until('#record', 'Stop (3 s)').then(() => press('record'))");
    page.run("until('#files audio')");
    let label = ask(&mut page);
    assert!(samples("emotion").iter().any(|sample| label == sample.label.as_str()), "{label}");

    let text = dir.path().join("notes.txt");
    std::fs::write(&text, "not a picture").unwrap();
    page.run("press('clear'), pick('classify')");
    page.choose("#chosen", &text);
    let problem = ask(&mut page);
    assert!(problem.as_str().is_some_and(|problem| problem.contains("notes.txt")), "{problem}");
}
