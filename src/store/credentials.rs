//! Where S3's keys come from: the configuration, the environment, the shared file, or the machine's role (spec/config.md §10.3).

use super::backend::{BackendError, Env};
use super::settings::{S3Settings, Secret};
use std::fmt;
use std::path::{Path, PathBuf};

/// The first source that has a key.
#[derive(Debug, PartialEq)]
pub(super) enum S3Source {
    /// A key that does not change.
    Key {
        /// What an operator calls the source.
        source: String,
        id: String,
        secret: Secret,
        token: Secret,
    },
    /// A role of the machine, pod or task; these variables say where to ask. Without any, the instance's metadata is asked.
    Role(Vec<(&'static str, String)>),
}

impl fmt::Display for S3Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            S3Source::Key { source, .. } => out.write_str(source),
            S3Source::Role(variables) if variables.is_empty() => out.write_str("the machine's IAM role (metadata service)"),
            S3Source::Role(_) => out.write_str("an IAM role named in the environment"),
        }
    }
}

/// Variables with a key, its secret, and its token.
const KEY_VARIABLES: [(&str, &str, &str); 4] = [
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    ("AWS_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SESSION_TOKEN"),
    ("MINIO_ACCESS_KEY", "MINIO_SECRET_KEY", ""),
    ("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD", ""),
];

/// Variables that say where a role's key is.
const ROLE_VARIABLES: [&str; 6] = [
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/// The first source that has a key, in the order of the spec.
pub(super) fn s3(settings: &S3Settings, env: Env<'_>) -> Result<S3Source, BackendError> {
    match (settings.access_key.is_empty(), settings.secret_key.is_empty()) {
        (false, false) => {
            return Ok(S3Source::Key {
                source: "access_key".to_owned(),
                id: settings.access_key.clone(),
                secret: settings.secret_key.clone(),
                token: settings.session_token.clone(),
            });
        }
        (true, true) => {}
        _ => return Err(BackendError::Settings("storage.trace.s3: access_key and secret_key must be set both or neither".to_owned())),
    }
    if let Some(source) = from_variables(env) {
        return Ok(source);
    }
    if let Some(source) = from_shared_file(env)? {
        return Ok(source);
    }
    Ok(S3Source::Role(ROLE_VARIABLES.into_iter().filter_map(|name| Some((name, given(env, name)?))).collect()))
}

fn given(env: Env<'_>, name: &str) -> Option<String> {
    env(name).filter(|value| !value.is_empty())
}

fn from_variables(env: Env<'_>) -> Option<S3Source> {
    KEY_VARIABLES.iter().find_map(|(id, secret, token)| {
        Some(S3Source::Key {
            source: (*id).to_owned(),
            id: given(env, id)?,
            secret: Secret::new(given(env, secret)?),
            token: Secret::new(given(env, token).unwrap_or_default()),
        })
    })
}

fn from_shared_file(env: Env<'_>) -> Result<Option<S3Source>, BackendError> {
    let named = given(env, "AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from);
    let usual = || Some(Path::new(&given(env, "HOME")?).join(".aws/credentials"));
    let Some(path) = named.or_else(usual) else { return Ok(None) };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(BackendError::File {
                key: "the shared credentials file",
                path: path.display().to_string(),
                reason: error.to_string(),
            });
        }
    };
    let profile = given(env, "AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
    Ok(key_of_profile(&text, &profile, &path.display().to_string()))
}

/// The key of a profile in the text of `~/.aws/credentials`.
fn key_of_profile(text: &str, profile: &str, path: &str) -> Option<S3Source> {
    let (mut is_inside, mut id, mut secret, mut token) = (false, None, None, Secret::default());
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            is_inside = name.trim() == profile;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| is_inside) else { continue };
        match key.trim() {
            "aws_access_key_id" => id = Some(value.trim().to_owned()),
            "aws_secret_access_key" => secret = Some(Secret::new(value.trim())),
            "aws_session_token" => token = Secret::new(value.trim()),
            _ => {}
        }
    }
    Some(S3Source::Key { source: format!("profile {profile} in {path}"), id: id?, secret: secret?, token })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(source: &str, id: &str, secret: &str, token: &str) -> S3Source {
        S3Source::Key { source: source.to_owned(), id: id.to_owned(), secret: Secret::new(secret), token: Secret::new(token) }
    }

    #[test]
    fn sources_are_asked_in_the_order_of_the_spec() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("credentials");
        std::fs::write(&file, "[other]\naws_access_key_id = no\n[default]\naws_access_key_id = file-id\naws_secret_access_key=s=1\n")
            .expect("writable");
        let path = file.display().to_string();
        let mut variables = vec![("AWS_ROLE_ARN", "arn".to_owned()), ("AWS_SHARED_CREDENTIALS_FILE", "/nowhere/x".to_owned())];
        let found = |settings: &S3Settings, variables: &[(&str, String)]| {
            s3(settings, &|name| variables.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value.clone()))
        };
        let mut settings = S3Settings::default();
        assert_eq!(found(&settings, &variables).expect("a source"), S3Source::Role(vec![("AWS_ROLE_ARN", "arn".to_owned())]));
        variables.push(("AWS_SHARED_CREDENTIALS_FILE", path.clone()));
        assert_eq!(found(&settings, &variables).expect("a source"), key(&format!("profile default in {path}"), "file-id", "s=1", ""));
        variables.extend([("MINIO_ROOT_USER", "root".to_owned()), ("MINIO_ROOT_PASSWORD", "p".to_owned())]);
        assert_eq!(found(&settings, &variables).expect("a source"), key("MINIO_ROOT_USER", "root", "p", ""));
        variables.extend([("AWS_ACCESS_KEY_ID", "id".to_owned()), ("AWS_SECRET_ACCESS_KEY", "s".to_owned())]);
        variables.push(("AWS_SESSION_TOKEN", "t".to_owned()));
        assert_eq!(found(&settings, &variables).expect("a source"), key("AWS_ACCESS_KEY_ID", "id", "s", "t"));
        // The token of the environment does not belong to the key of the file.
        settings.access_key = "own".to_owned();
        assert!(found(&settings, &variables).is_err(), "half a key");
        settings.secret_key = Secret::new("own secret");
        assert_eq!(found(&settings, &variables).expect("a source"), key("access_key", "own", "own secret", ""));
    }
}
