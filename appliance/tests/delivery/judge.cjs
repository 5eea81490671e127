// Judges a Web Push request: http_ece decrypts its body (RFC 8188, RFC 8291), OpenSSL verifies its sender (RFC 8292).
'use strict';
const crypto = require('node:crypto');
const fs = require('node:fs');

const asked = JSON.parse(fs.readFileSync(0, 'utf8'));
const bytes = (text) => Buffer.from(text, 'base64url');

function clear() {
    const ece = require(asked.library);
    const own = crypto.createECDH('prime256v1');
    own.setPrivateKey(bytes(asked.private));
    const options = { version: 'aes128gcm', privateKey: own, authSecret: bytes(asked.auth) };
    try {
        return ece.decrypt(bytes(asked.body), options).toString('utf8');
    } catch {
        return null;
    }
}

function sender() {
    const form = /^vapid t=([\w-]+)\.([\w-]+)\.([\w-]+), k=([\w-]+)$/.exec(asked.authorization);
    if (form === null) return { verified: false };
    const [, head, body, signature, key] = form;
    const header = JSON.parse(bytes(head));
    const claims = JSON.parse(bytes(body));
    const point = bytes(key);
    const jwk = {
        kty: 'EC', crv: 'P-256',
        x: point.subarray(1, 33).toString('base64url'), y: point.subarray(33).toString('base64url'),
    };
    const verifier = { key: crypto.createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' };
    const left = claims.exp - Date.now() / 1000;
    const verified = header.typ === 'JWT' && header.alg === 'ES256' && key === asked.key && point[0] === 4
        && claims.aud === asked.audience && left > 0 && left <= 24 * 60 * 60
        && crypto.verify('sha256', Buffer.from(`${head}.${body}`), verifier, bytes(signature));
    return { verified, claims };
}

console.log(JSON.stringify({ clear: clear(), ...sender() }));
