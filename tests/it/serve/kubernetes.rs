use crate::support::{revoke_session, setup};

#[tokio::test]
async fn a_service_of_the_same_name_is_no_hindrance() {
    let mut setup = setup();
    for (name, value) in [
        ("PORTCULLIS_SERVICE_HOST", "10.0.0.1"),
        ("PORTCULLIS_SERVICE_PORT", "8470"),
        ("PORTCULLIS_SERVICE_PORT_HTTP", "8470"),
        ("PORTCULLIS_PORT", "tcp://10.0.0.1:8470"),
        ("PORTCULLIS_PORT_8470_TCP", "tcp://10.0.0.1:8470"),
        ("PORTCULLIS_PORT_8470_TCP_ADDR", "10.0.0.1"),
    ] {
        setup = setup.env(name, value);
    }
    let plane = setup.start().await.unwrap();
    revoke_session(&plane, "s").await;
}
