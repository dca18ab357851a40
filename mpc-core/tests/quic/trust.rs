//! Who may come in, and whose key is whose.

use super::*;

/// Calls P0 with an identity that no cluster lists.
fn call(three: &Loopback, identity: &Identity, entry: &PartyEntry) -> Result<quinn::Connection> {
    three.parties[0].io.handle().block_on(async {
        let endpoint = endpoint::caller().expect("a free port");
        reach::connect(&endpoint, identity, Role::P0, entry).await
    })
}

#[test]
fn strangers_reach_the_application_which_refuses_them_with_a_reason() {
    let mut three = Loopback::start();
    let stranger = Identity::generate("stranger").unwrap();
    let connection = call(&three, &stranger, &three.cluster.parties[0]).unwrap();
    assert_eq!(peer_fingerprint(&connection), Some(three.identities[0].fingerprint()));
    let Server { inbox, io, .. } = &mut three.parties[0];
    let reason = io.handle().block_on(async {
        let caller = inbox.callers.recv().await.unwrap();
        assert_eq!(caller.fingerprint, stranger.fingerprint());
        endpoint::refuse(&caller.connection, endpoint::close::NOT_TRUSTED, "this key may not ask here");
        connection.closed().await
    });
    assert_eq!(endpoint::explain(&reason), "this key may not ask here");
}

#[test]
fn whoever_begins_many_handshakes_must_show_its_address_and_keeps_nobody_out() {
    let three = Loopback::start();
    let party = &three.cluster.parties[0];
    let caller = Identity::generate("caller").unwrap();
    let flood = UdpSocket::bind("127.0.0.1:0").unwrap();
    flood.set_read_timeout(Some(DEADLINE)).unwrap();
    three.parties[0].io.handle().block_on(async {
        // First packets, which would go to a place where nobody answers, reach P0 from another address.
        let nobody = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let config = tls::client_config(&caller, &[], Purpose::Ask).unwrap();
        let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()));
        let endpoint = endpoint::caller().unwrap();
        let call = || endpoint.connect_with(config.clone(), nobody.local_addr().unwrap(), "party").unwrap();
        let _calls: Vec<_> = (0..300).map(|_| call()).collect();
        let mut packet = [0; 2000];
        for _ in 0..300 {
            let length = nobody.recv(&mut packet).await.unwrap();
            flood.send_to(&packet[..length], &party.addresses[0]).unwrap();
        }
    });
    let mut packet = [0; 2000];
    // A long header of type 3 is a Retry (RFC 9000, 17.2.5).
    while flood.recv(&mut packet).expect("a Retry") > 0 && packet[0] & 0xf0 != 0xf0 {}
    call(&three, &caller, party).unwrap();
}

#[test]
fn a_wrong_key_is_refused_and_both_fingerprints_are_named() {
    let three = Loopback::start();
    let client = Identity::generate("client").unwrap();
    let expected = &three.cluster.parties[1].fingerprints;
    let entry = PartyEntry { fingerprints: expected.clone(), ..three.cluster.parties[0].clone() };
    let error = call(&three, &client, &entry).unwrap_err().to_string();
    let got = &three.cluster.parties[0].fingerprints[0];
    assert!(error.contains(expected[0].as_str()) && error.contains(got.as_str()), "{error}");
}

/// Calls P1 for some purpose; the reason why it closes the connection.
fn refused(three: &Loopback, identity: &Identity, purpose: Purpose) -> String {
    three.parties[0].io.handle().block_on(async {
        let endpoint = endpoint::caller().expect("a free port");
        let called = reach::call(&endpoint, identity, purpose, &three.cluster.parties[1]).await;
        endpoint::explain(&called.expect("the refusal comes after the handshake").closed().await)
    })
}

#[test]
fn only_a_peer_that_calls_for_the_mesh_joins_it() {
    let mut three = Loopback::start();
    let mut network = three.enter([1; 32], DEADLINE).unwrap();
    // With a peer's key, to ask: the standing connection and its session stay.
    let key = three.identities[0].clone();
    let connection = call(&three, &key, &three.cluster.parties[0]).unwrap();
    let Server { inbox, io, .. } = &mut three.parties[0];
    let caller = io.handle().block_on(inbox.callers.recv()).unwrap();
    assert_eq!(caller.fingerprint, key.fingerprint());
    connection.close(endpoint::close::DONE, b"");
    network[1].send(Role::P0, b"still here").unwrap();
    let mut got = [0; 10];
    network[0].recv(Role::P1, &mut got).unwrap();
    assert_eq!(&got, b"still here");
    // For the mesh, with keys of nobody, of oneself, and of the one who waits to be called.
    let stranger = Identity::generate("stranger").unwrap();
    for key in [&stranger, &*three.identities[1].clone(), &*three.identities[2].clone()] {
        let reason = refused(&three, key, Purpose::Mesh);
        assert!(reason.contains(&key.fingerprint().to_string()), "{reason}");
    }
    assert!(Role::ALL.iter().all(|&role| role == Role::P1 || three.parties[1].mesh.is_connected(role)));
}

/// The cluster with other fingerprints for one party.
fn listing(three: &Loopback, role: Role, identities: &[&Identity]) -> Cluster {
    let mut cluster = three.cluster.clone();
    let listed = identities.iter().map(|identity| identity.fingerprint().to_string());
    cluster.parties[role.index()].fingerprints = listed.collect();
    cluster
}

/// Waits until something has come about.
fn until(three: &Loopback, works: impl Fn() -> bool) {
    let started = Instant::now();
    while !works() {
        assert!(started.elapsed() < DEADLINE, "it never came about");
        three.connected();
    }
}

#[test]
fn a_key_is_replaced_while_sessions_run() {
    for switching in Role::ALL {
        let mut three = Loopback::start();
        let [old, new] = [three.identities[switching.index()].clone(), Identity::generate("new").unwrap().into()];
        let mut running = three.enter([1; 32], DEADLINE).unwrap();
        let both = listing(&three, switching, &[&old, &new]);
        let reload = |three: &Loopback, role: Role, cluster: &Cluster| {
            let identity = three.identities[role.index()].clone();
            three.parties[role.index()].mesh.reload(identity, cluster)
        };
        Role::ALL.iter().for_each(|&role| reload(&three, role, &both).unwrap());

        three.identities[switching.index()] = new.clone();
        reload(&three, switching, &both).unwrap();
        let seen =
            |peer: Role, key: &Identity| three.parties[peer.index()].mesh.key_of(switching) == Some(key.fingerprint());
        until(&three, || seen(switching.next(), &new) && seen(switching.prev(), &new));
        works_again(&three);

        let only_new = listing(&three, switching, &[&new]);
        Role::ALL.iter().for_each(|&role| reload(&three, role, &only_new).unwrap());
        let later = session(&three, 3, |network| pass(network, b"and without the old one"));
        assert!(later.iter().all(Result::is_ok), "{later:?}");
        for (peer, message) in [(switching.next(), *b"1"), (switching.prev(), *b"2")] {
            running[switching.index()].send(peer, &message).unwrap();
            let mut got = [0];
            running[peer.index()].recv(switching, &mut got).unwrap();
            assert_eq!(got, message, "a session that ran throughout");
        }
        let refused = reload(&three, switching, &listing(&three, switching, &[&old])).unwrap_err().to_string();
        assert!(refused.contains(&new.fingerprint().to_string()), "{refused}");
    }
}

#[test]
fn a_peer_whose_key_is_removed_finishes_its_sessions_and_gets_no_new_one() {
    let three = Loopback::start();
    let mut running = three.enter([1; 32], DEADLINE).unwrap();
    let other = Identity::generate("other").unwrap();
    let mesh = &three.parties[1].mesh;
    mesh.reload(three.identities[1].clone(), &listing(&three, Role::P0, &[&other])).unwrap();
    let refused = mesh.session([2; 32], DEADLINE).err().unwrap().to_string();
    assert!(refused.contains("P0") && refused.contains("no longer listed"), "{refused}");
    running[0].send(Role::P1, b"last words").unwrap();
    let mut got = [0; 10];
    running[1].recv(Role::P0, &mut got).unwrap();
    assert_eq!(&got, b"last words");
    // It is taken back when it is listed again.
    mesh.reload(three.identities[1].clone(), &three.cluster).unwrap();
    three.connected();
}

#[test]
fn an_identity_survives_its_folder_and_an_open_key_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity::generate("somebody").unwrap();
    identity.save(folder.path()).unwrap();
    assert_eq!(Identity::load(folder.path()).unwrap().fingerprint(), identity.fingerprint());
    let text = identity.fingerprint().to_string();
    assert_eq!(text.parse::<Fingerprint>().unwrap(), identity.fingerprint());
    assert!(text[..text.len() - 1].parse::<Fingerprint>().is_err());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let key = folder.path().join("tls.key");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
        let refused = Identity::load(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
    }
}
