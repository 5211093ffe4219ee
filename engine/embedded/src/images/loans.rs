//! Logins that a controller elsewhere lends for pulls here.
//!
//! # Invariants
//! - They are in memory only. Whoever drives next is lent them again, and takes no refusal for final before that.
//! - Each is for one image, whichever of its digests is pulled.

use super::known::{remedy, told};
use keel_engine::{FailureKind, LentLogin, Login};
use keel_images::{Error, Reference};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What was lent.
#[derive(Default)]
pub(super) struct Loans {
    has_lender: bool,
    by_image: Mutex<BTreeMap<String, Option<Login>>>,
}

/// What a controller elsewhere said of whom an image is pulled as.
#[derive(Clone)]
pub(super) enum Loan {
    /// There is no such controller.
    NoLender,
    /// Nothing yet.
    Awaited,
    /// As whoever this node is itself.
    Nothing,
    /// As this.
    Login(Login),
}

impl Loans {
    pub(super) fn new(has_lender: bool) -> Self {
        Self { has_lender, by_image: Mutex::default() }
    }

    fn by_image(&self) -> MutexGuard<'_, BTreeMap<String, Option<Login>>> {
        self.by_image.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is lent for an image; the last word counts.
    pub(super) fn take(&self, image: &Reference, lent: &LentLogin) {
        self.by_image().insert(key(image), lent.login.clone());
    }

    pub(super) fn of(&self, image: &Reference) -> Loan {
        match self.by_image().get(&key(image)) {
            Some(Some(login)) => Loan::Login(login.clone()),
            Some(None) => Loan::Nothing,
            None if self.has_lender => Loan::Awaited,
            None => Loan::NoLender,
        }
    }

    /// Nothing is pulled with it any more, until it is lent again.
    pub(super) fn drop_of(&self, image: &Reference) {
        self.by_image().remove(&key(image));
    }
}

/// Without a digest: tasks pull what their image was when that was decided.
fn key(image: &Reference) -> String {
    let tag = image.tag().unwrap_or_default();
    format!("{}/{}:{tag}", image.registry(), image.repository())
}

impl Loan {
    /// The login of a loan, for the registry that it is for.
    pub(super) fn for_registry<'a>(&self, image: &'a Reference) -> Option<(&'a str, Login)> {
        match self {
            Self::Login(login) => Some((image.registry(), login.clone())),
            Self::NoLender | Self::Awaited | Self::Nothing => None,
        }
    }

    pub(super) fn is_login(&self) -> bool {
        matches!(self, Self::Login(_))
    }

    /// Whether a pull may succeed once the controller is heard.
    pub(super) fn may_pass(&self, error: &Error) -> bool {
        matches!(self, Self::Awaited) && error.kind() == FailureKind::Denied
    }

    /// What to do about a pull that failed, for whoever reads of it on the controller.
    pub(super) fn remedy(&self, image: &Reference, error: &Error) -> String {
        let Error::Denied { registry, with_login, .. } = error else { return remedy(error) };
        // A mirror is asked as whoever this node is.
        if registry != image.registry() {
            return remedy(error);
        }
        match (self, with_login) {
            (Self::NoLender, _) => remedy(error),
            (Self::Awaited, _) => {
                told(format!("the controller has not sent its credentials for {registry} yet"))
            }
            (Self::Login(_), _) => told(format!(
                "the credentials that the controller has for {registry} are refused; `keel login {registry}` on the \
                 controller renews them"
            )),
            (Self::Nothing, true) => told(format!(
                "the credentials stored on this node are refused, and the controller has none; `keel login \
                 {registry}` on the controller stores some"
            )),
            (Self::Nothing, false) => told(format!(
                "`keel login {registry}` on the controller stores credentials; check the spelling, too"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(name: &str) -> Reference {
        name.parse().unwrap()
    }

    fn lent(image: &str, password: &str) -> LentLogin {
        let login = Login::Password { user: "ann".into(), password: password.into() };
        LentLogin { image: image.into(), login: Some(login) }
    }

    fn denied(registry: &str, with_login: bool) -> Error {
        let (registry, repository) = (registry.to_owned(), "app".to_owned());
        Error::Denied { registry, repository, with_login }
    }

    #[test]
    fn a_loan_is_for_one_image_at_any_digest() {
        let (loans, app) = (Loans::new(true), image("r.io/app:1"));
        assert!(matches!(loans.of(&app), Loan::Awaited));
        loans.take(&app, &lent("r.io/app:1", "x"));
        let pinned = app.pinned(keel_engine::Digest::of(b"x"));
        assert!(loans.of(&pinned).is_login());
        for other in ["r.io/app:2", "r.io/other:1", "other.io/app:1"] {
            assert!(matches!(loans.of(&image(other)), Loan::Awaited), "{other}");
        }
        loans.take(&app, &LentLogin { login: None, ..lent("r.io/app:1", "x") });
        assert!(matches!(loans.of(&app), Loan::Nothing), "after a logout");
        loans.drop_of(&pinned);
        assert!(matches!(loans.of(&app), Loan::Awaited));
        assert!(matches!(Loans::new(false).of(&app), Loan::NoLender));
    }

    #[test]
    fn only_a_refusal_before_the_controller_was_heard_may_pass() {
        let app = image("r.io/app:1");
        let login = Loan::Login(Login::IdentityToken("x".into()));
        for (loan, passes) in
            [(Loan::NoLender, false), (Loan::Awaited, true), (Loan::Nothing, false), (login, false)]
        {
            assert_eq!(loan.may_pass(&denied("r.io", false)), passes);
            let missing =
                Error::NotInRegistry { reference: app.to_string(), registry: "r.io".into() };
            assert!(!loan.may_pass(&missing));
        }
    }

    #[test]
    fn a_refusal_says_whose_credentials_to_renew() {
        let app = image("r.io/app:1");
        let login = Loan::Login(Login::IdentityToken("x".into()));
        let cases = [
            (Loan::NoLender, "r.io", true, "the stored credentials are refused"),
            (Loan::Awaited, "r.io", false, "has not sent its credentials for r.io yet"),
            (login.clone(), "r.io", true, "that the controller has for r.io are refused"),
            (Loan::Nothing, "r.io", true, "stored on this node are refused"),
            (Loan::Nothing, "r.io", false, "`keel login r.io` on the controller stores"),
            (login, "mirror.io", false, "`keel login mirror.io` stores credentials"),
        ];
        for (loan, registry, with_login, words) in cases {
            let said = loan.remedy(&app, &denied(registry, with_login));
            assert!(said.contains(words), "{said} instead of {words}");
        }
    }
}
