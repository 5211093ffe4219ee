//! Who a process is: `user[:group]` by the container's own /etc/passwd and /etc/group. Pure.

/// A resolved user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Further groups.
    pub groups: Vec<u32>,
    /// Home folder, where /etc/passwd names one.
    pub home: Option<String>,
}

/// Why nobody is meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unknown {
    /// A name that the container does not know.
    #[error("unable to find {kind} {name}: no matching entries in {file} file")]
    Name {
        /// `user` or `group`.
        kind: &'static str,
        /// As written.
        name: String,
        /// `passwd` or `group`.
        file: &'static str,
    },
    /// What an image's files could pass off for another user than was meant.
    #[error("{kind} `{name}` looks like a number: write its decimal digits alone")]
    Spelled {
        /// `user` or `group`.
        kind: &'static str,
        /// As written.
        name: String,
    },
    /// A number that the kernel has no user for.
    #[error("{kind} {number} is out of range: the largest is {largest}", largest = LARGEST)]
    Number {
        /// `user` or `group`.
        kind: &'static str,
        /// As written.
        number: String,
    },
}

/// The one above means "unchanged" to the kernel: whoever became that would stay root.
const LARGEST: u32 = u32::MAX - 1;

/// What the container's files say.
#[derive(Debug, Clone, Copy, Default)]
pub struct Accounts<'a> {
    /// /etc/passwd, empty where it is missing.
    pub passwd: &'a str,
    /// /etc/group, empty where it is missing.
    pub group: &'a str,
}

/// Whether any of them is a name, which only the container's files can tell.
#[must_use]
pub fn is_named(user: &str, further: &[String]) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !user.split(':').chain(further.iter().map(String::as_str)).all(digits)
}

/// As docker: an empty text is root; a number need not be in the file; a group that is named
/// replaces the user's own groups. Digits are a number and never a name: an image whose file has
/// the line `1000:x:0:0` must not make root of whoever is to be 1000 (CVE-2016-3697).
pub fn resolve(
    user: &str,
    further: &[String],
    accounts: Accounts<'_>,
) -> Result<Identity, Unknown> {
    let (name, group) = match user.split_once(':') {
        Some((name, group)) => (name, Some(group).filter(|group| !group.is_empty())),
        None => (user, None),
    };
    let name = if name.is_empty() { "0" } else { name };
    let number = number(name, "user")?;
    let account = match number {
        Some(uid) => accounts.account(|account| account.uid == uid),
        None => accounts.account(|account| account.name == name),
    };
    let uid = number.or_else(|| account.as_ref().map(|account| account.uid));
    let uid = uid.ok_or_else(|| unknown(name, "user", "passwd"))?;
    let mut identity = Identity { uid, ..Identity::default() };
    if let Some(account) = account {
        identity.gid = account.gid;
        identity.home = Some(account.home.to_owned()).filter(|home| !home.is_empty());
        identity.groups = accounts.memberships(account.name);
    }
    if let Some(group) = group {
        identity.gid = accounts.group_id(group)?;
        identity.groups.clear();
    }
    for group in further {
        identity.groups.push(accounts.group_id(group)?);
    }
    // A process that changes its group must not lose what its own group may not do.
    identity.groups.push(identity.gid);
    identity.groups.sort_unstable();
    identity.groups.dedup();
    Ok(identity)
}

struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

impl<'a> Accounts<'a> {
    fn account(&self, fits: impl Fn(&Account<'a>) -> bool) -> Option<Account<'a>> {
        let mut accounts = self.passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let (name, uid) = (fields.next()?, id(fields.nth(1)?)?);
            let (gid, home) = (id(fields.next()?)?, fields.nth(1).unwrap_or(""));
            Some(Account { name, uid, gid, home })
        });
        accounts.find(|account| fits(account))
    }

    fn groups(&self) -> impl Iterator<Item = (&'a str, u32, &'a str)> {
        self.group.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let (name, gid) = (fields.next()?, id(fields.nth(1)?)?);
            Some((name, gid, fields.next().unwrap_or("")))
        })
    }

    fn group_id(&self, group: &str) -> Result<u32, Unknown> {
        if let Some(gid) = number(group, "group")? {
            return Ok(gid);
        }
        let found = self.groups().find(|(name, ..)| *name == group);
        found.map(|(_, gid, _)| gid).ok_or_else(|| unknown(group, "group", "group"))
    }

    fn memberships(&self, user: &str) -> Vec<u32> {
        let member = |list: &str| list.split(',').any(|name| name == user);
        self.groups().filter(|(.., list)| member(list)).map(|(_, gid, _)| gid).collect()
    }
}

fn unknown(name: &str, kind: &'static str, file: &'static str) -> Unknown {
    Unknown::Name { kind, name: name.to_owned(), file }
}

/// What is written in digits, and nothing else, is a number; other spellings of one are no name.
fn number(text: &str, kind: &'static str) -> Result<Option<u32>, Unknown> {
    let bare = text.trim().trim_start_matches(['+', '-']);
    let digits = !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit());
    let hexadecimal = bare.strip_prefix("0x").or_else(|| bare.strip_prefix("0X"));
    if !digits && hexadecimal.is_none() {
        return Ok(None);
    }
    if !digits || bare != text {
        return Err(Unknown::Spelled { kind, name: text.to_owned() });
    }
    let number = || Unknown::Number { kind, number: text.to_owned() };
    id(text).map(Some).ok_or_else(number)
}

/// A user's or group's number, as the files have it.
fn id(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|number| *number <= LARGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNTS: Accounts<'_> = Accounts {
        passwd: "root:x:0:0:root:/root:/bin/sh\nweb:x:101:102:web:/srv/web:/bin/sh\n",
        group: "root:x:0:\nweb:x:102:\nlogs:x:200:web,other\ntape:x:26:web\n",
    };

    #[test]
    fn users_are_found_as_docker_finds_them() {
        let who = |uid, gid, groups: &[u32], home: Option<&str>| {
            Ok(Identity { uid, gid, groups: groups.to_vec(), home: home.map(str::to_owned) })
        };
        let cases = [
            ("", who(0, 0, &[0], Some("/root"))),
            ("web", who(101, 102, &[26, 102, 200], Some("/srv/web"))),
            ("101", who(101, 102, &[26, 102, 200], Some("/srv/web"))),
            ("web:logs", who(101, 200, &[200], Some("/srv/web"))),
            ("5:6", who(5, 6, &[6], None)),
            ("5", who(5, 0, &[0], None)),
            ("web:", who(101, 102, &[26, 102, 200], Some("/srv/web"))),
        ];
        for (user, identity) in cases {
            assert_eq!(resolve(user, &[], ACCOUNTS), identity, "{user}");
        }
        let more = resolve("5", &["logs".into(), "7".into()], ACCOUNTS).unwrap();
        assert_eq!(more.groups, [0, 7, 200]);
        assert_eq!(
            resolve("nobody", &[], ACCOUNTS).unwrap_err().to_string(),
            "unable to find user nobody: no matching entries in passwd file"
        );
        assert_eq!(resolve("0", &[], Accounts::default()), who(0, 0, &[0], None));
    }
    /// CVE-2016-3697 and its kin: what an image's files say never makes root of a number.
    #[test]
    fn digits_are_never_a_name() {
        let hostile = Accounts {
            passwd: "1000:x:0:0::/:\n4294967296:x:0:0::/:\n-1:x:0:0::/:\n+5:x:5:5::/:\n\
                     app:x:4294967295:0::/:\nlow:x:-1:0::/:\nplus:x:+0:0::/:\nroot:x:0:0::/:\n",
            group: "1001:x:0:\nall:x:4294967295:\n",
        };
        let who = |user: &str| resolve(user, &[], hostile).map(|who| (who.uid, who.gid));
        for (user, uid) in [("1000", 1000), ("01000", 1000), ("2147483648", 1 << 31)] {
            assert_eq!(who(user), Ok((uid, 0)), "{user}");
            assert_eq!(who(&format!("{user}:1001")), Ok((uid, 1001)), "{user}");
        }
        assert_eq!(who("4294967294"), Ok((LARGEST, 0)));
        for user in [
            "+5",
            "-1",
            "4294967295",
            "4294967296",
            "0x0",
            " 7",
            "app",
            "low",
            "plus",
            "99999999999999999999",
        ] {
            assert!(who(user).is_err(), "{user}: {:?}", who(user));
        }
        for group in ["4294967295", "all", "-1", "+0", " 0"] {
            assert!(who(&format!("5:{group}")).is_err(), "{group}");
            assert!(resolve("5", &[group.to_owned()], hostile).is_err(), "{group}");
        }
        assert_eq!(
            who("4294967295").unwrap_err().to_string(),
            "user 4294967295 is out of range: the largest is 4294967294"
        );
    }
}
