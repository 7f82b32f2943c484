// A web application with one page: it sends its visitor to the provider, and shows the access token that it gets.

import { randomBytes } from 'node:crypto';

// Answers /app and /app/callback.
export function application(issuer, { id, secret, callback, resource }) {
  return async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, issuer);
    if (pathname === '/app') {
      // The same visitor must come back: the state is in a cookie and in the address.
      const state = randomBytes(16).toString('base64url');
      const to = new URLSearchParams({
        client_id: id, response_type: 'code', redirect_uri: callback, scope: 'openid use', resource, state,
      });
      const cookie = `state=${state}; Path=/app; HttpOnly; SameSite=Lax`;
      response.writeHead(303, { location: `${issuer}/auth?${to}`, 'set-cookie': cookie }).end();
    } else if (pathname === '/app/callback' && cookies(request).includes(`state=${searchParams.get('state')}`)) {
      const answer = await exchange(searchParams.get('code'));
      const { access_token: token, error_description: error } = await answer.json();
      response.writeHead(answer.ok ? 200 : 502, { 'content-type': 'text/plain' }).end(`${token ?? error}\n`);
    } else {
      response.writeHead(404, { 'content-type': 'text/plain' }).end('Start at /app\n');
    }
  };

  function exchange(code) {
    const authorization = `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;
    const body = new URLSearchParams({ grant_type: 'authorization_code', code, redirect_uri: callback });
    return fetch(`${issuer}/token`, { method: 'POST', headers: { authorization }, body });
  }
}

function cookies(request) {
  return (request.headers.cookie ?? '').split('; ');
}
