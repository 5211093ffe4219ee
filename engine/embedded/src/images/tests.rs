//! For how long a login that was lent is there.

use super::*;
use keel_testing::waiting::until_ok;
use std::io::{Read, Write};
use std::net::TcpListener;

/// `ann:s3cret`.
const TOLD: &str = "authorization: Basic YW5uOnMzY3JldA==";

/// The images of a node that a controller elsewhere drives.
struct Bench {
    _folder: tempfile::TempDir,
    layout: Layout,
    images: Arc<Images>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        layout.make_root().unwrap();
        contents::keep_in_memory(&layout).unwrap();
        let images = opened(&layout);
        Self { _folder: folder, layout, images }
    }

    fn lend(&self, image: &str) {
        let login = Login::Password { user: "ann".into(), password: "s3cret".into() };
        self.images.lend(&[LentLogin { image: image.into(), login: Some(login) }]).unwrap();
    }

    fn holds(&self, image: &str) -> bool {
        self.images.loans.of(&image.parse().unwrap()).is_login()
    }

    async fn until_pulled(&self, image: &str) -> Option<Failure> {
        let ended = || async {
            let (going, pulls, failure) = self
                .images
                .known(image, |known| (known.going.is_some(), known.pulls, known.failure.clone()));
            if !going && pulls > 0 { Ok(failure) } else { Err("it is not over".to_owned()) }
        };
        until_ok("the pull ends", ended).await
    }
}

fn opened(layout: &Layout) -> Arc<Images> {
    let mut options = Options::new("node".into(), std::env::current_exe().unwrap());
    options.credentials = layout.root().join("config.json");
    Arc::new(Images::open(layout, &options, broadcast::channel(16).0).unwrap())
}

/// A registry that lets nobody in: its address, and what it was asked with.
fn closed_registry() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&heads);
    // It ends with the test's process.
    std::thread::spawn(move || {
        for line in listener.incoming() {
            let (mut line, mut head) = (line.unwrap(), Vec::new());
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && matches!(line.read(&mut byte), Ok(1)) {
                head.push(byte[0]);
            }
            heard.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
            let answer = "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic realm=\"x\"\r\n\
                          content-length: 0\r\nconnection: close\r\n\r\n";
            let _ = line.write_all(answer.as_bytes());
        }
    });
    (address, heads)
}

fn was_told(heads: &Mutex<Vec<String>>) -> bool {
    heads.lock().unwrap().iter().any(|head| head.contains(TOLD))
}

#[tokio::test]
async fn a_login_goes_when_its_image_is_here() {
    let (bench, image) = (Bench::new(), "keel.local/hello");
    bench.lend(image);
    bench.images.wish(image, PullPolicy::Always).unwrap();
    assert_eq!(bench.until_pulled(image).await, None);
    assert!(!bench.holds(image), "it was pulled");
    bench.lend(image);
    bench.images.wish(image, PullPolicy::Missing).unwrap();
    assert!(!bench.holds(image), "it was here");
    bench.lend(image);
    bench.images.ensure(image, PullPolicy::Missing, None).await.unwrap();
    assert!(!bench.holds(image), "a task found it");
}

#[tokio::test]
async fn a_login_is_used_and_stays_for_the_task_that_tries_again() {
    let (bench, (address, heads)) = (Bench::new(), closed_registry());
    let image = format!("{address}/app:1");
    bench.lend(&image);
    bench.images.wish(&image, PullPolicy::Missing).unwrap();
    let failure = bench.until_pulled(&image).await.unwrap();
    assert!(was_told(&heads), "{heads:?}");
    assert!(failure.text.contains("the controller has"), "{failure:?}");
    assert!(!bench.holds(&image), "the controller asks again, with a login");

    let away = "127.0.0.1:1/app:1";
    bench.lend(away);
    let tried = bench.images.ensure(away, PullPolicy::Missing, None).await;
    assert!(matches!(tried, Err(StepError::Retry(_))), "{tried:?}");
    assert!(bench.holds(away));
    bench.images.drop_login(away);
    assert!(!bench.holds(away), "with the last task");
}

#[tokio::test]
async fn a_refusal_is_final_only_after_the_controller_was_heard() {
    let (bench, (address, heads)) = (Bench::new(), closed_registry());
    let image = format!("{address}/app:1");
    let tried = bench.images.ensure(&image, PullPolicy::Missing, None).await;
    assert!(matches!(tried, Err(StepError::Retry(_))), "{tried:?}");
    bench.images.lend(&[LentLogin { image: image.clone(), login: None }]).unwrap();
    let tried = bench.images.ensure(&image, PullPolicy::Missing, None).await;
    assert!(matches!(tried, Err(StepError::Permanent(_))), "{tried:?}");
    assert!(!was_told(&heads));
    bench.lend(&image);
    let tried = bench.images.ensure(&image, PullPolicy::Missing, None).await;
    assert!(matches!(tried, Err(StepError::Permanent(_))), "{tried:?}");
    assert!(was_told(&heads) && !bench.holds(&image));
}

#[tokio::test]
async fn a_pull_with_a_login_is_not_gone_on_with_by_who_has_none() {
    let (bench, (address, heads)) = (Bench::new(), closed_registry());
    let [private, open] = ["private:1", "open:1"].map(|name| format!("{address}/{name}"));
    // As a driver leaves it that dies at once.
    std::fs::create_dir_all(&bench.images.asked).unwrap();
    for (reference, lent) in [(&private, true), (&open, false)] {
        let asked = Asked { reference: reference.clone(), lent };
        record::store(&bench.images.asked_for(reference), &asked).unwrap();
    }
    let next = opened(&bench.layout);
    next.go_on();
    let over = || async {
        let left = std::fs::read_dir(&next.asked).unwrap().count();
        if left == 0 { Ok(()) } else { Err(format!("{left} are left")) }
    };
    until_ok("both are over", over).await;
    let heads = heads.lock().unwrap();
    assert!(heads.iter().any(|head| head.contains("/open/")), "{heads:?}");
    assert!(!heads.iter().any(|head| head.contains("/private/")), "{heads:?}");
}
