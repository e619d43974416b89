//! Stores, as far as they need no server: which folder lies in which, what a URL may say, names,
//! and waits for a server that is not there or says nothing.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use oasis_data::engine::batch::{Save, save_many};
use oasis_data::engine::process::configure_stores;
use oasis_data::engine::signals::Signals;
use oasis_data::engine::{Engine, NoSignals, WriteOptions};
use oasis_data::error::Error;
use oasis_data::settings::Durability;

use crate::{Quiet, options};

const SECRET: &str = "hunter2";

/// The stores are the process's: one test at a time.
static STORES: Mutex<()> = Mutex::new(());

struct Configured<'a>(#[allow(dead_code, reason = "held, not read")] MutexGuard<'a, ()>);

impl Drop for Configured<'_> {
    fn drop(&mut self) {
        configure_stores(Vec::new()).unwrap();
    }
}

fn url(port: u16, rest: &str) -> String {
    format!("postgresql://user:{SECRET}@127.0.0.1:{port}/database?sslmode=disable{rest}")
}

fn configured(stores: &[(&str, String)]) -> Configured<'static> {
    let guard = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    let stores = stores.iter().map(|(folder, url)| (PathBuf::from(folder), url.clone()));
    configure_stores(stores.collect()).unwrap();
    Configured(guard)
}

fn durable(timeout: Duration) -> WriteOptions {
    WriteOptions { durability: Durability::Full, timeout, ..options() }
}

/// A port where nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn key(path: &str) -> Option<oasis_data::engine::Key> {
    Engine::of(Path::new(path)).key()
}

#[test]
fn a_path_belongs_to_the_longest_folder_that_it_lies_in() {
    let _stores = configured(&[
        ("/srv/data", url(1, "")),
        ("/srv/data/inner/", url(2, "")),
        ("relative/../here", url(1, "")),
    ]);
    for path in ["/srv", "/srv/database/a.json", "/srv/data/../a.json", "a.json", "/", ""] {
        assert!(key(path).is_none(), "{path}");
    }
    let outer = Engine::of(Path::new("/srv/data/a.json"));
    assert_eq!(key("/srv/data/a.json"), key("/srv/./data//b/../a.json"));
    assert_eq!(key("/srv/data/a.json"), key("here/a.json"));
    assert_ne!(key("/srv/data/a.json"), key("/srv/data/b.json"));
    assert!(outer.shares_store(&Engine::of(Path::new("here/b.json"))));
    assert!(!outer.shares_store(&Engine::of(Path::new("/srv/data/inner/a.json"))));
    assert!(Engine::of(Path::new("/srv/data")).waits());
}

#[test]
fn all_stores_are_replaced_or_none() {
    let _stores = configured(&[("/srv/data", url(1, ""))]);
    let stores = vec![("/other".into(), url(1, "")), ("/wrong".into(), "mysql://".to_owned())];
    let (folder, _) = configure_stores(stores).unwrap_err();
    assert_eq!(folder, Path::new("/wrong"));
    assert!(key("/other/a.json").is_none() && key("/srv/data/a.json").is_some());
    configure_stores(vec![("/other".into(), url(1, ""))]).unwrap();
    assert!(key("/other/a.json").is_some() && key("/srv/data/a.json").is_none());
}

#[test]
fn a_url_that_cannot_be_used_is_refused_in_words_without_it() {
    let _stores = configured(&[]);
    let path = format!("postgresql://{SECRET}:{SECRET}@host/{SECRET}");
    for (url, reason) in [
        (format!("mysql://{SECRET}"), "does not begin with postgresql://"),
        (format!("{path}?whatever={SECRET}"), "with the parameters whatever"),
        (format!("{path}?prepare={SECRET}"), "prepare="),
        (format!("{path}?sslmode={SECRET}"), "sslmode"),
        (format!("{path}?schema={SECRET}%"), "percent sign"),
        (format!("{path}?schema={SECRET}%ff"), "not UTF-8"),
        (format!("{path}?schema="), "schema"),
        (format!("{path}?{SECRET}"), "without a value"),
        (format!("{path}?service={SECRET}"), "no service file has"),
        (format!("postgresql://{SECRET}@host:{SECRET}/"), "cannot be read"),
    ] {
        let (_, told) = configure_stores(vec![("/srv".into(), url)]).unwrap_err();
        assert!(told.contains(reason), "{told}");
        assert!(!told.contains(SECRET), "{told}");
    }
    for rest in
        ["", "?schema=a%20b&prepare=off&sslmode=verify-full&sslrootcert=/none&passfile=/none"]
    {
        configure_stores(vec![("/srv".into(), format!("postgres://a:b@h1:1,h2:2/c{rest}"))])
            .unwrap();
    }
}

#[test]
fn neither_a_password_nor_a_url_is_shown() {
    let _stores = configured(&[("/srv/data", url(closed_port(), ""))]);
    let path = Path::new("/srv/data/a.json");
    let engine = Engine::of(path);
    let error = engine.save(path, b"1", &durable(Duration::ZERO), &Quiet).unwrap_err();
    for told in [format!("{engine:?}"), format!("{error:?}"), error.to_string()] {
        assert!(!told.contains(SECRET) && !told.contains("postgres"), "{told}");
    }
}

#[test]
fn a_name_that_no_document_can_have_is_told_before_anybody_is_asked() {
    let _stores = configured(&[("/srv/data", url(closed_port(), ""))]);
    let long = format!("/srv/data/{}.json", "a".repeat(260));
    let deep = format!("/srv/data/{}a.json", "folder/".repeat(400));
    let errno = |name: &OsStr| {
        let path = Path::new(name);
        let error = Engine::of(path).read(path, &Quiet).unwrap_err();
        assert!(!matches!(error, Error::NotFound { .. }));
        error.errno().unwrap()
    };
    assert_eq!(errno(OsStr::from_bytes(b"/srv/data/\xff.json")), 84);
    assert_eq!(errno(OsStr::from_bytes(b"/srv/data/a\0.json")), 22);
    assert_eq!(errno(OsStr::new(&long)), 36);
    assert_eq!(errno(OsStr::new(&deep)), 36);
    assert_eq!(errno(OsStr::new("/srv/data")), 21);
}

#[test]
fn a_batch_in_two_stores_is_refused_before_anything_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let _stores = configured(&[
        ("/srv/data", url(closed_port(), "")),
        ("/srv/other", url(closed_port(), "&schema=other")),
    ]);
    let file = folder.path().join("a.json");
    let pairs = [
        ("/srv/data/a.json", file.to_str().unwrap()),
        (file.to_str().unwrap(), "/srv/data/a.json"),
        ("/srv/data/a.json", "/srv/other/a.json"),
    ];
    for (one, other) in pairs {
        let save = |path| Save { path: Path::new(path), bytes: b"1", if_version: None };
        let refused = save_many(&[save(one), save(other)], &durable(Duration::ZERO), &Quiet);
        assert!(matches!(refused, Err(Error::SeveralStores { .. })), "{refused:?}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_save_that_is_not_to_be_durable_is_refused() {
    let _stores = configured(&[("/srv/data", url(closed_port(), ""))]);
    let path = Path::new("/srv/data/a.json");
    let process = WriteOptions { durability: Durability::Process, ..options() };
    let refused = Engine::of(path).save(path, b"1", &process, &Quiet).unwrap_err();
    assert!(refused.to_string().contains("always durable"), "{refused}");
}

#[test]
fn where_nobody_listens_a_call_tries_until_its_deadline() {
    let _stores = configured(&[("/srv/data", url(closed_port(), ""))]);
    let path = Path::new("/srv/data/a.json");
    for (timeout, least) in [(0, 0), (300, 300)] {
        let begun = Instant::now();
        let timeout = Duration::from_millis(timeout);
        let error = Engine::of(path).save(path, b"1", &durable(timeout), &Quiet).unwrap_err();
        // Not an unknown outcome: nothing was sent.
        assert!(matches!(error, Error::Syscall { .. }), "{error}");
        assert_eq!(error.errno(), Some(111));
        assert!(begun.elapsed() >= Duration::from_millis(least));
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

/// A server that takes connections and never says a word.
fn silent() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[test]
fn a_server_that_says_nothing_is_waited_for_until_the_deadline() {
    let (listener, port) = silent();
    let _stores = configured(&[("/srv/data", url(port, ""))]);
    let path = Path::new("/srv/data/a.json");
    let begun = Instant::now();
    let options = durable(Duration::from_millis(100));
    let error = Engine::of(path).save(path, b"1", &options, &NoSignals).unwrap_err();
    assert_eq!(error.errno(), Some(110), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(8));
    drop(listener);
}

struct Pressed;

impl Signals for Pressed {
    fn pending(&self) -> bool {
        true
    }
}

#[test]
fn a_signal_ends_the_wait_for_a_server_at_once() {
    let (listener, port) = silent();
    let _stores = configured(&[("/srv/data", url(port, ""))]);
    let path = Path::new("/srv/data/a.json");
    let begun = Instant::now();
    let read = Engine::of(path).read(path, &Pressed);
    assert!(matches!(read, Err(Error::Interrupted { .. })), "{read:?}");
    let options = durable(Duration::from_secs(60));
    let saved = Engine::of(path).save(path, b"1", &options, &Pressed);
    assert!(matches!(saved, Err(Error::Interrupted { .. })), "{saved:?}");
    assert!(begun.elapsed() < Duration::from_secs(2));
    drop(listener);
}

#[test]
fn a_host_that_does_not_answer_leaves_time_for_the_next() {
    let (silent, first) = silent();
    let second = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = second.local_addr().unwrap().port();
    let url = format!("postgresql://user:x@127.0.0.1:{first},127.0.0.1:{port}/d?sslmode=disable");
    let _stores = configured(&[("/srv/data", url)]);
    let path = Path::new("/srv/data/a.json");
    Engine::of(path).save(path, b"1", &durable(Duration::from_secs(1)), &Quiet).unwrap_err();
    second.set_nonblocking(true).unwrap();
    second.accept().expect("the second host was asked");
    drop(silent);
}
