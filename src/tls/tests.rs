use std::fs;

use portcullis_testbed::Authority;
use tempfile::TempDir;

use super::*;

const NOW: u64 = 1_700_000_000;
const HOUR: u64 = 3_600;

/// The files of a valid pair, and the settings that name them.
struct Stage {
    authority: Authority,
    dir: TempDir,
    settings: config::Tls,
}

impl Stage {
    fn new() -> Self {
        let (authority, dir) = (Authority::new().unwrap(), tempfile::tempdir().unwrap());
        let settings = config::Tls {
            certificate_file: dir.path().join("tls.crt"),
            key_file: dir.path().join("tls.key"),
            ..config::Tls::default()
        };
        let stage = Self { authority, dir, settings };
        stage.renew(NOW - HOUR, NOW + HOUR);
        stage
    }

    fn renew(&self, from: u64, until: u64) {
        self.authority.issue_for(&["portcullis"], from, until).unwrap().write(self.dir.path()).unwrap();
    }

    fn load(&self) -> Result<Tls, TlsError> {
        Tls::load(self.settings.clone(), Clock::manual(NOW * 1_000), Metrics::default())
    }

    #[track_caller]
    fn refused(&self, expect: &str) {
        let error = self.load().unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    }
}

#[test]
fn what_is_wrong_with_the_files_is_said() {
    let mut stage = Stage::new();
    assert!(stage.load().is_ok());
    stage.renew(NOW - 2 * HOUR, NOW - 1);
    stage.refused("the certificate has expired at 2023-11-14T22:13:19Z");
    stage.renew(NOW + 60, NOW + HOUR);
    stage.refused("not valid before 2023-11-14T22:14:20Z: is the clock right?");
    stage.renew(NOW, NOW);
    assert!(stage.load().is_ok());
    let key = fs::read(&stage.settings.key_file).unwrap();
    stage.renew(NOW - HOUR, NOW + HOUR);
    fs::write(&stage.settings.key_file, &key).unwrap();
    stage.refused("is not the key of the first certificate in");
    fs::write(&stage.settings.key_file, "").unwrap();
    stage.refused("tls.key_file: no private key");
    fs::write(&stage.settings.key_file, &key).unwrap();
    fs::write(&stage.settings.certificate_file, &key).unwrap();
    stage.refused("tls.certificate_file: no certificate");
    fs::write(
        &stage.settings.certificate_file,
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    stage.refused("not an X.509 certificate");
    fs::write(&stage.settings.certificate_file, vec![b'x'; 1024 * 1024 + 1]).unwrap();
    stage.refused("longer than 1048576 bytes");
    fs::remove_file(&stage.settings.certificate_file).unwrap();
    stage.refused("tls.certificate_file: cannot read");
    stage.renew(NOW - HOUR, NOW + HOUR);
    stage.settings.edge_ca_file = Some(stage.dir.path().join("ca.crt"));
    stage.refused("tls.edge_ca_file: cannot read");
    fs::write(stage.dir.path().join("ca.crt"), stage.authority.pem()).unwrap();
    assert!(stage.load().is_ok());
}

#[test]
fn changed_files_are_taken_over_when_they_are_of_use() {
    let stage = Stage::new();
    let tls = stage.load().unwrap();
    let (http, edge) = (tls.port(Port::Http).unwrap(), tls.port(Port::Edge).unwrap());
    let before = (http.config(), edge.config());
    let is_as_before = || (Arc::ptr_eq(&before.0, &http.config()), Arc::ptr_eq(&before.1, &edge.config()));
    assert_eq!(tls.look(), Ok(None));
    assert_eq!(is_as_before(), (true, true));
    // Half of a pair: the key is still the old one's.
    let key = fs::read(&stage.settings.key_file).unwrap();
    stage.renew(NOW - HOUR, NOW + 2 * HOUR);
    let new_key = fs::read(&stage.settings.key_file).unwrap();
    fs::write(&stage.settings.key_file, key).unwrap();
    assert!(matches!(tls.look(), Err(TlsError::Mismatch { .. })));
    assert_eq!(is_as_before(), (true, true));
    fs::write(&stage.settings.key_file, new_key).unwrap();
    let taken = tls.look().unwrap().unwrap();
    assert_eq!(
        (taken.names.as_slice(), taken.expires_ms()),
        (["portcullis".to_owned()].as_slice(), 1_700_007_200_000)
    );
    assert_eq!(is_as_before(), (false, false));
}

#[test]
fn a_certificate_tells_its_names() {
    let uri = "spiffe://mesh.example/ns/prod/sa/ingress";
    let pair = Authority::new().unwrap().issue_for(&["edge.example", uri, "10.0.0.1"], NOW, NOW + 1).unwrap();
    let der = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
    let mut certificate = Certificate::read(&der).unwrap();
    certificate.names.sort_unstable();
    assert_eq!(certificate.names, ["edge.example", uri]);
    assert_eq!(certificate.expires_ms(), (NOW + 1) * 1_000);
    let state = |now| certificate.check(now * 1_000).err().map(|error| error.to_string());
    assert!(state(NOW - 1).unwrap().contains("not valid before"));
    assert_eq!((state(NOW), state(NOW + 1)), (None, None));
    assert!(state(NOW + 2).unwrap().contains("has expired"));
}
