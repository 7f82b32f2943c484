// An OpenID provider that tells Portcullis of every logout, and an application that logs in through it.
//
// PORT           where it listens on loopback (3000; 0: any free port, printed)
// PORTCULLIS_URL where Portcullis takes messages (http://127.0.0.1:8470)

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';

import Provider from 'oidc-provider';

import { application } from './app.mjs';

const { PORT = '3000', PORTCULLIS_URL = 'http://127.0.0.1:8470' } = process.env;
const SERVICE = 'https://service.example';

const server = createServer();
server.listen(Number(PORT), '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const app = { id: 'app', secret: secret(), callback: `${issuer}/app/callback`, resource: SERVICE };
  const provider = openIdProvider(issuer, app);
  const visit = application(issuer, app);
  const serve = provider.callback();
  server.on('request', (request, response) => {
    const mine = request.url.startsWith('/app');
    return mine ? visit(request, response) : serve(request, response);
  });
  console.log(`listening on ${issuer}`);
});

function openIdProvider(issuer, app) {
  const provider = new Provider(issuer, {
    jwks: { keys: [signingKey()] },
    cookies: { keys: [secret()] },
    clients: [
      {
        client_id: app.id,
        client_secret: app.secret,
        redirect_uris: [app.callback],
        // What connects the provider to Portcullis: these two lines.
        backchannel_logout_uri: `${PORTCULLIS_URL}/inlets/backchannel-logout`,
        backchannel_logout_session_required: true,
      },
    ],
    // Whoever gives a name is that user.
    findAccount: (_context, name) => ({ accountId: name, claims: () => ({ sub: name }) }),
    features: {
      devInteractions: { enabled: true },
      backchannelLogout: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({
          audience: SERVICE,
          scope: 'use',
          accessTokenFormat: 'jwt',
          accessTokenTTL: 3600,
          jwt: { sign: { alg: 'RS256' } },
        }),
        useGrantedResource: () => true,
      },
    },
    // A logout names the session, so access tokens must name it too.
    extraTokenClaims: (context) => ({ sid: context.oidc.entities.AuthorizationCode.sid }),
    // oidc-provider's dispatcher refuses private addresses, and here Portcullis is on loopback.
    fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  });
  provider.on('backchannel.success', (_context, _client, user, sid) => {
    console.log(`Portcullis has the logout of ${user}, session ${sid}`);
  });
  provider.on('backchannel.error', (_context, error) => console.error('Portcullis has no logout:', error));
  provider.on('server_error', (_context, error) => console.error(error));
  return provider;
}

function signingKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: secret(), alg: 'RS256', use: 'sig' };
}

function secret() {
  return randomBytes(16).toString('base64url');
}
