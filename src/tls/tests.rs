use std::fs;

use portcullis_testbed::Authority;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};
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

    /// A pair that signs itself, after an edit.
    fn make(&self, edit: impl FnOnce(&mut CertificateParams)) -> String {
        let (pem, key) = self_signed(edit);
        fs::write(&self.settings.certificate_file, &pem).unwrap();
        fs::write(&self.settings.key_file, key.serialize_pem()).unwrap();
        pem
    }

    fn edges(&mut self, pem: &str) {
        let path = self.dir.path().join("edges.crt");
        fs::write(&path, pem).unwrap();
        self.settings.edge_ca_file = Some(path);
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

fn self_signed(edit: impl FnOnce(&mut CertificateParams)) -> (String, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["portcullis".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2023, 1, 1), date_time_ymd(2024, 1, 1));
    params.distinguished_name.push(DnType::CommonName, "itself");
    edit(&mut params);
    (params.self_signed(&key).unwrap().pem(), key)
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
    let expect = (vec!["portcullis".to_owned()], 1_700_007_200_000);
    assert_eq!((taken.own.names.clone(), taken.own.expires_ms()), expect);
    assert_eq!(
        (taken.authorities, taken.lost_names, taken.lost_authorities),
        (0, Vec::<String>::new(), Vec::new())
    );
    assert_eq!(is_as_before(), (false, false));
}

#[test]
fn a_certificate_that_no_client_accepts_is_refused() {
    let stage = Stage::new();
    let authority = "is a certificate authority: clients refuse it as a server's; make one with \
                     basicConstraints=CA:FALSE";
    let purpose = "is not for servers: clients refuse it; make one with extendedKeyUsage=serverAuth";
    let purposes = |purposes: &[ExtendedKeyUsagePurpose]| {
        let purposes = purposes.to_vec();
        stage.make(|params| params.extended_key_usages = purposes)
    };
    stage.make(|_| {});
    assert!(stage.load().is_ok());
    stage.make(|params| params.is_ca = IsCa::ExplicitNoCa);
    assert!(stage.load().is_ok());
    // As `openssl req -x509` makes it.
    stage.make(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    stage.refused(authority);
    purposes(&[ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth]);
    let tls = stage.load().unwrap();
    purposes(&[ExtendedKeyUsagePurpose::ClientAuth]);
    stage.refused(purpose);
    // webpki does not take it for any.
    purposes(&[ExtendedKeyUsagePurpose::Any]);
    stage.refused(purpose);
    // While it runs, the one from before stays.
    let before = tls.status().certificate;
    tls.tell(tls.look());
    let failure = tls.status().failure.unwrap().to_string();
    assert!(failure.contains("tls.certificate_file") && failure.contains(purpose), "{failure}");
    assert_eq!(tls.status().certificate, before);
}

#[test]
fn a_certificate_that_is_no_authority_vouches_for_no_edge() {
    let mut stage = Stage::new();
    let good = stage.authority.pem();
    for kind in [IsCa::NoCa, IsCa::ExplicitNoCa] {
        let (pem, _) = self_signed(|params| params.is_ca = kind);
        stage.edges(&(good.clone() + &pem));
        stage.refused("edges.crt: `CN=itself` is not a certificate authority (basicConstraints=CA:TRUE)");
    }
    // The mistake that is made: the certificate of the edge itself.
    stage.edges(&stage.authority.issue(&["edge.example"]).unwrap().certificate);
    stage.refused("is not a certificate authority");
    stage.edges(&good);
    assert!(stage.load().is_ok());
}

#[test]
fn what_a_change_takes_away_is_known() {
    let mut stage = Stage::new();
    let of = |stage: &Stage, names: &[&str]| {
        stage.authority.issue_for(names, NOW - HOUR, NOW + HOUR).unwrap().write(stage.dir.path()).unwrap();
    };
    let next = Authority::new().unwrap();
    stage.edges(&(stage.authority.pem() + &next.pem() + &next.pem()));
    of(&stage, &["a.example", "b.example", "c.b.example", "10.0.0.1", "::1"]);
    let tls = stage.load().unwrap();
    let look = || {
        let mut change = tls.look().unwrap().unwrap();
        change.lost_names.sort_unstable();
        (change.authorities, change.lost_names, change.lost_authorities)
    };
    // A wildcard is for one label.
    of(&stage, &["A.example", "*.example", "::1"]);
    let lost = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(look(), (2, lost(&["10.0.0.1", "c.b.example"]), vec![]));
    stage.edges(&next.pem());
    let (count, names, gone) = look();
    assert_eq!((count, names, gone.len()), (1, vec![], 1));
    assert!(gone[0].starts_with("CN=authority "), "{gone:?}");
    // Another certificate of an authority that was there.
    let (_, key) = self_signed(|_| {});
    let mut renewed = |year| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = date_time_ymd(year, 1, 1);
        stage.edges(&params.self_signed(&key).unwrap().pem());
        look().2.len()
    };
    assert_eq!((renewed(2030), renewed(2031)), (1, 0));
}

#[test]
fn files_that_are_as_before_again_are_no_failure() {
    let stage = Stage::new();
    let tls = stage.load().unwrap();
    let certificate = fs::read(&stage.settings.certificate_file).unwrap();
    fs::write(&stage.settings.certificate_file, "half").unwrap();
    tls.tell(tls.look());
    assert!(tls.status().failure.is_some());
    fs::write(&stage.settings.certificate_file, certificate).unwrap();
    tls.tell(tls.look());
    assert_eq!(tls.status().failure, None);
}

#[test]
fn long_lives_are_renewed_by_weeks_and_short_ones_by_thirds() {
    let check = |life_hours: u64, left_hours: u64, expect: bool| {
        let at = |hours: u64| hours * 3_600_000;
        let (from, until) = (at(1_000_000), at(1_000_000 + life_hours));
        assert_eq!(renewal_is_due(from, until, until - at(left_hours)), expect, "{life_hours}");
    };
    check(365 * 24, 14 * 24, false);
    check(365 * 24, 14 * 24 - 1, true);
    check(90 * 24, 20 * 24, false);
    check(24, 12, false);
    check(24, 7, true);
    check(24, 0, true);
}

#[test]
fn the_end_of_a_certificate_is_told_daily_before_and_once_after() {
    const DAY: u64 = 24 * HOUR;
    let read = |until: u64| {
        let pair = Authority::new().unwrap().issue_for(&["a"], NOW, until).unwrap();
        Certificate::read(&CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()).unwrap()
    };
    let (first, second) = (read(NOW + 90 * DAY), read(NOW + 91 * DAY));
    let mut expiry = Expiry::default();
    let mut notice = |of: &Certificate, at: u64| expiry.notice(of, at * 1_000);
    let soon = NOW + 77 * DAY;
    assert_eq!(notice(&first, NOW), None);
    assert_eq!(notice(&first, soon + 2), Some(Notice::Soon));
    assert_eq!(notice(&first, soon + 4), None);
    assert_eq!(notice(&first, soon + DAY), None);
    assert_eq!(notice(&first, soon + DAY + 2), Some(Notice::Soon));
    assert_eq!(notice(&first, NOW + 90 * DAY), Some(Notice::Soon));
    assert_eq!(notice(&first, NOW + 90 * DAY + 1), Some(Notice::Ended));
    assert_eq!(notice(&first, NOW + 90 * DAY + 3), None);
    assert_eq!(notice(&first, NOW + 95 * DAY), None);
    // Another one begins anew.
    assert_eq!(notice(&second, NOW), None);
    assert_eq!(notice(&second, NOW + 90 * DAY), Some(Notice::Soon));
    assert_eq!(notice(&second, NOW + 92 * DAY), Some(Notice::Ended));
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
