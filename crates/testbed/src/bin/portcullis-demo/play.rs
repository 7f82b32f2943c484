//! After the last step: what one can try.

use anyhow::Result;

use crate::narrator::Narrator;
use crate::stage::Stage;

/// Prints where everything is, tokens of a new user, and commands.
pub(crate) fn invite(stage: &Stage, narrator: &Narrator) -> Result<()> {
    let token = stage.issuer.token().sub("dora").sid("dora-1").jti("dora-t1").sign()?;
    let portcullis = portcullis_testbed::paths::control_plane()?;
    let (url, key) = (stage.control_plane.url(), stage.control_plane.admin_key());
    let envoy = stage.envoy.address();
    narrator.title("\nEverything stays up until Ctrl-C. In another terminal:");
    narrator.plain(&format!(
        "
export PORTCULLIS_URL={url} PORTCULLIS_KEY={key}
alias portcullis={portcullis}
DORA={token}

curl -i http://{envoy}/ -H \"authorization: Bearer $DORA\"
curl -N http://{envoy}/sse -H \"authorization: Bearer $DORA\"   # and, meanwhile:
portcullis revoke session dora-1 --reason \"laptop stolen\" --wait
portcullis revoke subject dora --wait
portcullis check $DORA
portcullis list
portcullis undo ID --wait
portcullis edges
portcullis events
curl {url}/metrics
",
        portcullis = portcullis.display()
    ));
    Ok(())
}
