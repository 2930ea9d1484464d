// The CometD project's own Java client, unchanged: shakes hands, subscribes from a replay id, prints what comes.

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.cometd.bayeux.Channel;
import org.cometd.bayeux.Message;
import org.cometd.bayeux.client.ClientSession;
import org.cometd.bayeux.client.ClientSessionChannel;
import org.cometd.client.BayeuxClient;
import org.cometd.client.http.jetty.JettyHttpClientTransport;
import org.cometd.common.JettyJSONContextClient;
import org.eclipse.jetty.client.HttpClient;
import org.eclipse.jetty.client.api.Request;

public class SimulatorCometd {
    private static final JettyJSONContextClient JSON = new JettyJSONContextClient();

    public static void main(String[] arguments) throws Exception {
        String url = arguments[0];
        String token = arguments[1];
        String channel = arguments[2];
        long replay = Long.parseLong(arguments[3]);
        int count = Integer.parseInt(arguments[4]);

        HttpClient http = new HttpClient();
        http.start();
        var transport = new JettyHttpClientTransport(new HashMap<>(), http) {
            @Override
            protected void customize(Request request) {
                request.headers(headers -> headers.put("Authorization", "OAuth " + token));
            }
        };
        BayeuxClient client = new BayeuxClient(url, transport);
        client.addExtension(new ClientSession.Extension() {
            @Override
            public boolean sendMeta(ClientSession session, Message.Mutable message) {
                if (Channel.META_HANDSHAKE.equals(message.getChannel())) {
                    message.getExt(true).put("replay", true);
                } else if (Channel.META_SUBSCRIBE.equals(message.getChannel())) {
                    message.getExt(true).put("replay", Map.of(channel, replay));
                }
                return true;
            }
        });

        CountDownLatch missing = new CountDownLatch(count);
        List<String> lines = new ArrayList<>();
        ClientSessionChannel.MessageListener listener = (from, message) -> {
            synchronized (lines) {
                lines.add(JSON.getGenerator().generate(message));
            }
            missing.countDown();
        };
        // Every handshake begins a new session, which listens to nothing yet.
        client.getChannel(Channel.META_HANDSHAKE).addListener((ClientSessionChannel.MessageListener) (from, message) -> {
            say("handshake", message);
            if (message.isSuccessful()) {
                client.getChannel(channel).subscribe(listener, reply -> say("subscribe", reply));
            }
        });
        client.handshake();
        boolean all = missing.await(60, TimeUnit.SECONDS);
        synchronized (lines) {
            for (String line : lines) {
                System.out.println("{\"about\":\"event\",\"message\":" + line + "}");
            }
        }
        client.disconnect();
        System.out.println("{\"about\":\"end\",\"all\":" + all + ",\"gone\":" + client.waitFor(10_000, BayeuxClient.State.DISCONNECTED) + "}");
        http.stop();
    }

    private static synchronized void say(String about, Message message) {
        System.out.println("{\"about\":\"" + about + "\",\"message\":" + JSON.getGenerator().generate(message) + "}");
    }
}
