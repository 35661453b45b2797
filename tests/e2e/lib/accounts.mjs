/*
 * Copyright (C) ngx-voice contributors
 *
 * The books of a voice server: what came in and what went out, by its status
 * at a quiet moment.
 */


const sum = (object) => Object.values(object).reduce((a, b) => a + b, 0);


/*
 * What each account is off by; all zeros unless workers were killed.  One
 * that was killed had at most a batch in its hands, which may be in some of
 * the counters already.
 */
export function balance({ rx, tx, control, dropped, skipped, sealed,
    due_packets: due, rtcp_reports: reports })
{
    const { unannounced, nonce, socket, send } = skipped;

    return {
        /* each datagram is routed, an order to the server, or dropped */
        received: rx.packets - rx.accepted - sum(control) - sum(dropped),

        /* each packet due to a receiver is sealed, or skipped before */
        sealed: due - sum(sealed) - unannounced - nonce - socket,

        /* and what is sealed or answered leaves, or could not be sent */
        sent: sum(sealed) + reports + control.discovery + control.ping
            + control.keepalive - tx.packets - send
    };
}
