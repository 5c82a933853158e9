package io.tidemark.oracle;

import org.apache.flink.runtime.util.EnvironmentInformation;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonNode;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.node.ObjectNode;

import java.io.BufferedReader;
import java.io.File;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.LinkedBlockingQueue;

/**
 * Serves requests, one JSON document a line, on standard input and output; with two arguments it reads one request from
 * the first file and writes the report to the second. The end of standard input ends the process at once, whatever runs:
 * whoever started it is gone.
 */
public final class Main {
    static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), false, StandardCharsets.UTF_8);
        System.setOut(System.err); // nothing but reports may reach the reader
        new File(System.getProperty("java.io.tmpdir"), "oracle").mkdirs();
        if (args.length == 2) {
            JsonNode report = serve(Files.readString(Path.of(args[0])));
            Files.writeString(Path.of(args[1]), JSON.writerWithDefaultPrettyPrinter().writeValueAsString(report) + "\n");
            Runtime.getRuntime().halt(report.has("error") ? 1 : 0);
        }
        LinkedBlockingQueue<String> requests = new LinkedBlockingQueue<>();
        Thread reader = new Thread(() -> read(requests), "requests");
        reader.setDaemon(true);
        reader.start();
        ObjectNode hello = JSON.createObjectNode();
        hello.put("flink", EnvironmentInformation.getVersion());
        hello.put("java", System.getProperty("java.version"));
        out.println(hello);
        out.flush();
        while (true) {
            String line = requests.take();
            out.println(JSON.writeValueAsString(serve(line)));
            out.flush();
        }
    }

    private static void read(LinkedBlockingQueue<String> requests) {
        try (BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                requests.add(line);
            }
        } catch (Exception e) {
            // the same as the end
        }
        File tmp = new File(System.getProperty("java.io.tmpdir"));
        remove(tmp.getName().startsWith("flink-oracle-") ? tmp : new File(tmp, "oracle"));
        Runtime.getRuntime().halt(0);
    }

    private static void remove(File f) {
        File[] below = f.listFiles();
        if (below != null && !Files.isSymbolicLink(f.toPath())) {
            for (File b : below) {
                remove(b);
            }
        }
        f.delete();
    }

    /** Ends the process, with the stacks of all threads, if a request does not come to an end by its own time limit. */
    private static Thread watch(long millis) {
        Thread t = new Thread(() -> {
            try {
                Thread.sleep(millis);
            } catch (InterruptedException e) {
                return;
            }
            Thread.getAllStackTraces().forEach((thread, stack) -> {
                System.err.println(thread.getName());
                for (int i = 0; i < Math.min(stack.length, 12); i++) {
                    System.err.println("  " + stack[i]);
                }
            });
            System.err.println("the request hangs: see the stacks above");
            System.err.flush();
            Runtime.getRuntime().halt(3);
        }, "watch");
        t.setDaemon(true);
        t.start();
        return t;
    }

    private static JsonNode serve(String line) {
        ObjectNode report = JSON.createObjectNode();
        Thread watch = null;
        try {
            JsonNode request = JSON.readTree(line);
            watch = watch(request.path("timeout_ms").asLong(60_000) + 30_000);
            report.set("seq", request.get("seq"));
            if (request.has("rocksdb")) {
                RocksJudge.run(request, report);
            } else {
                Runner.run(request, report);
            }
        } catch (Throwable e) {
            StringWriter trace = new StringWriter();
            e.printStackTrace(new PrintWriter(trace));
            report.put("error", trace.toString());
        }
        if (watch != null) {
            watch.interrupt();
        }
        return report;
    }
}
