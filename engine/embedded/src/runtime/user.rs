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

/// A name that the container does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unable to find {kind} {name}: no matching entries in {file} file")]
pub struct Unknown {
    kind: &'static str,
    name: String,
    file: &'static str,
}

/// What the container's files say.
#[derive(Debug, Clone, Copy, Default)]
pub struct Accounts<'a> {
    /// /etc/passwd, empty where it is missing.
    pub passwd: &'a str,
    /// /etc/group, empty where it is missing.
    pub group: &'a str,
}

/// As docker: an empty text is root; a number need not be in the file; a group that is named
/// replaces the user's own groups.
pub fn resolve(
    user: &str,
    further: &[String],
    accounts: Accounts<'_>,
) -> Result<Identity, Unknown> {
    let (name, group) = match user.split_once(':') {
        Some((name, group)) => (name, Some(group).filter(|group| !group.is_empty())),
        None => (user, None),
    };
    let account = accounts.account(if name.is_empty() { "0" } else { name });
    let uid = match (&account, name.is_empty()) {
        (Some(account), _) => account.uid,
        (None, true) => 0,
        (None, false) => number(name, "user", "passwd")?,
    };
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
    /// By name, or by number.
    fn account(&self, name: &str) -> Option<Account<'a>> {
        let wanted: Option<u32> = name.parse().ok();
        let accounts = self.passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let (name, uid) = (fields.next()?, fields.nth(1)?.parse().ok()?);
            let (gid, home) = (fields.next()?.parse().ok()?, fields.nth(1).unwrap_or(""));
            Some(Account { name, uid, gid, home })
        });
        let mut fitting = accounts.filter(|found| found.name == name || Some(found.uid) == wanted);
        fitting.next()
    }

    fn groups(&self) -> impl Iterator<Item = (&'a str, u32, &'a str)> {
        self.group.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let (name, gid) = (fields.next()?, fields.nth(1)?.parse().ok()?);
            Some((name, gid, fields.next().unwrap_or("")))
        })
    }

    fn group_id(&self, group: &str) -> Result<u32, Unknown> {
        let found = self.groups().find(|(name, ..)| *name == group);
        found.map_or_else(|| number(group, "group", "group"), |(_, gid, _)| Ok(gid))
    }

    fn memberships(&self, user: &str) -> Vec<u32> {
        let member = |list: &str| list.split(',').any(|name| name == user);
        self.groups().filter(|(.., list)| member(list)).map(|(_, gid, _)| gid).collect()
    }
}

fn number(text: &str, kind: &'static str, file: &'static str) -> Result<u32, Unknown> {
    text.parse().map_err(|_| Unknown { kind, name: text.to_owned(), file })
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
}
