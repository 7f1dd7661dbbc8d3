//! The files of `deploy/`, for Docker and for Kubernetes: no container runs as root or can change its own files, each has the
//! secrets of its work and no others, and what they say of files, ports and commands is what the configuration says.
//!
//! Read as they are written, so what Kustomize makes of them is not looked at here; `deploy/check.sh` does that.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use yaml_rust2::{Yaml, YamlLoader};

const ROLES: [&str; 4] = ["gateway", "normalizer", "dedup", "persister"];

/// By role, what it is given: everything else is another's. `source-` stands for the secret of every source, `attachments-`
/// for the keys of a bucket.
const GIVEN: [(&str, &[&str]); 5] = [
    ("gateway", &["dedup-key", "nats-url", "source-"]),
    ("normalizer", &["attachments-", "dedup-key", "nats-url"]),
    ("dedup", &["nats-url"]),
    ("persister", &["attachments-", "nats-url", "postgres-url"]),
    ("operator", &["attachments-", "dedup-key", "nats-url", "postgres-url", "source-"]),
];

/// A volume that is new belongs to root, and the server that uses it is not root: this one gives it away, and ends.
const GIVES_VOLUMES_AWAY: &str = "nats-data";

fn deploy() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("deploy")
}

fn text(path: &str) -> String {
    fs::read_to_string(deploy().join(path)).unwrap_or_else(|error| panic!("deploy/{path}: {error}"))
}

/// Every object of `deploy/kubernetes/*.yaml`.
fn objects() -> Vec<Yaml> {
    let files = fs::read_dir(deploy().join("kubernetes")).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect();
    let objects: Vec<Yaml> =
        files.iter().flat_map(|path| YamlLoader::load_from_str(&fs::read_to_string(path).unwrap()).unwrap()).collect();
    let kustomization = text("kustomization.yaml");
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(kustomization.contains(&format!("- kubernetes/{name}\n")), "{name} is not in kustomization.yaml");
    }
    objects
}

/// What makes pods, by name, with the pod that it makes.
fn pods() -> BTreeMap<String, Yaml> {
    let objects = objects();
    let makes_pods = objects.iter().filter(|object| !object["spec"]["template"].is_badvalue());
    let pods: BTreeMap<_, _> = makes_pods
        .map(|object| (string(&object["metadata"]["name"]), object["spec"]["template"]["spec"].clone()))
        .collect();
    assert_eq!(pods.len(), 8, "four roles, two jobs, the operator, NATS: {:?}", pods.keys());
    pods
}

/// Every service of the compose files, with what the second adds to the first.
fn services() -> BTreeMap<String, BTreeMap<String, Yaml>> {
    let mut services: BTreeMap<String, BTreeMap<String, Yaml>> = BTreeMap::new();
    for file in ["compose.yaml", "compose.nats-cluster.yaml"] {
        let document = YamlLoader::load_from_str(&text(file)).unwrap().remove(0);
        for (name, service) in document["services"].as_hash().unwrap() {
            let known = services.entry(string(name)).or_default();
            known.extend(merged(service));
        }
    }
    services
}

/// A service with what it takes over by `<<`.
fn merged(service: &Yaml) -> BTreeMap<String, Yaml> {
    let own = service.as_hash().unwrap();
    let mut all = own.get(&Yaml::String("<<".into())).map(merged).unwrap_or_default();
    all.extend(own.iter().map(|(key, value)| (string(key), value.clone())));
    all
}

fn string(yaml: &Yaml) -> String {
    yaml.as_str().unwrap_or_else(|| panic!("{yaml:?} is no text")).to_owned()
}

fn strings(yaml: &Yaml) -> Vec<String> {
    yaml.as_vec().unwrap_or_else(|| panic!("{yaml:?} is no list")).iter().map(string).collect()
}

#[test]
fn every_container_of_kubernetes_is_nobody_on_a_file_system_that_it_cannot_change() {
    for (name, pod) in pods() {
        let whole = &pod["securityContext"];
        assert_eq!(whole["runAsNonRoot"].as_bool(), Some(true), "{name}");
        assert!(whole["runAsUser"].as_i64().is_some_and(|user| user > 1000), "{name}");
        assert_eq!(whole["seccompProfile"]["type"].as_str(), Some("RuntimeDefault"), "{name}");
        assert_eq!(pod["automountServiceAccountToken"].as_bool(), Some(false), "{name}");
        assert!(pod["hostNetwork"].is_badvalue() && pod["hostPID"].is_badvalue(), "{name}");
        assert!(pod["initContainers"].is_badvalue(), "{name} has containers that are not looked at");
        for container in pod["containers"].as_vec().unwrap() {
            let own = &container["securityContext"];
            assert_eq!(own["allowPrivilegeEscalation"].as_bool(), Some(false), "{name}");
            assert_eq!(own["readOnlyRootFilesystem"].as_bool(), Some(true), "{name}");
            assert_eq!(strings(&own["capabilities"]["drop"]), ["ALL"], "{name}");
            assert!(own["capabilities"]["add"].is_badvalue() && own["runAsUser"].is_badvalue(), "{name}");
            let resources = &container["resources"];
            assert!(resources["requests"]["cpu"].as_str().is_some(), "{name}");
            assert!(resources["limits"]["memory"].as_str().is_some(), "{name}");
        }
    }
}

#[test]
fn every_container_of_compose_is_nobody_on_a_file_system_that_it_cannot_change() {
    let image = text("Dockerfile");
    assert!(image.lines().any(|line| line == "USER 10001:10001"), "whom the image of Penstock runs as");
    let services = services();
    assert!(services.len() > 10, "{:?}", services.keys());
    for (name, service) in &services {
        let has = |key: &str| service.get(key).unwrap_or(&Yaml::BadValue);
        assert_eq!(has("read_only").as_bool(), Some(true), "{name}");
        assert_eq!(strings(has("cap_drop")), ["ALL"], "{name}");
        assert_eq!(strings(has("security_opt")), ["no-new-privileges:true"], "{name}");
        if name == GIVES_VOLUMES_AWAY {
            assert_eq!(strings(has("cap_add")), ["CHOWN", "DAC_OVERRIDE"], "{name}");
            assert_eq!(has("network_mode").as_str(), Some("none"), "{name}");
            continue;
        }
        assert!(has("cap_add").is_badvalue() && has("privileged").is_badvalue(), "{name}");
        let ours = has("image").as_str().is_some_and(|image| image.starts_with("penstock:"));
        match has("user").as_str() {
            Some(user) => assert!(!user.starts_with("0:") && user.contains(':'), "{name}: {user}"),
            None => assert!(ours, "{name}: whom it runs as is not said"),
        }
    }
}

/// The sources of a configuration, as the names of the files that hold their secrets.
fn named_files(config: &str, folder: &str) -> BTreeSet<String> {
    let lines = config.lines().filter(|line| !line.trim_start().starts_with('#'));
    let quoted = lines.flat_map(|line| line.split('"').skip(1).step_by(2)).map(str::to_owned);
    quoted.filter_map(|text| text.strip_prefix(folder).map(str::to_owned)).collect()
}

fn given(role: &str) -> &'static [&'static str] {
    GIVEN.iter().find(|(known, _)| *known == role).map(|(_, given)| *given).unwrap()
}

/// Of the files that a configuration names, those that a role is given.
fn of_role<'a>(files: &'a BTreeSet<String>, role: &str) -> BTreeSet<&'a str> {
    let may = |file: &&str| {
        given(role).iter().any(|given| file == given || (given.ends_with('-') && file.starts_with(given)))
    };
    files.iter().map(String::as_str).filter(may).collect()
}

#[test]
fn in_compose_each_role_has_the_secrets_that_its_work_needs_and_no_other() {
    let files = named_files(&text("config/penstock.toml"), "/run/secrets/");
    assert_eq!(files, BTreeSet::from(["dedup-key", "nats-url", "postgres-url", "source-orders"].map(str::to_owned)));
    let services = services();
    for (role, _) in GIVEN {
        let mounted = services[role]["secrets"].as_vec().unwrap().iter();
        let mounted: BTreeSet<String> =
            mounted.map(|secret| secret.as_str().map_or_else(|| string(&secret["target"]), str::to_owned)).collect();
        assert_eq!(mounted.iter().map(String::as_str).collect::<BTreeSet<_>>(), of_role(&files, role), "{role}");
    }
}

/// Without it a service has an empty folder in the place of the store, and neither stores nor erases anything there.
#[test]
fn in_compose_the_files_are_a_volume_of_all_that_store_delete_or_erase_them() {
    let config: toml::Table = text("config/penstock.toml").parse().unwrap();
    let store = config.get("attachments").and_then(|section| section.get("store")?.as_str()).unwrap();
    let mount = format!("attachments:{}", store.strip_prefix("file://").unwrap());
    let services = services();
    let mounted = services
        .iter()
        .filter(|(_, service)| service.get("volumes").is_some_and(|volumes| strings(volumes).contains(&mount)));
    let mounted: Vec<&str> = mounted.map(|(name, _)| name.as_str()).collect();
    assert_eq!(mounted, ["normalizer", "operator", "persister"]);
}

#[test]
fn in_kubernetes_each_role_has_the_secrets_that_its_work_needs_and_no_other() {
    let files = named_files(&text("kubernetes/penstock.toml"), "/run/penstock/");
    assert_eq!(files, BTreeSet::from(["dedup-key", "nats-url", "postgres-url", "source-orders"].map(str::to_owned)));
    let script = text("kubernetes/secrets.sh");
    let pods = pods();
    for (role, given) in GIVEN {
        let line = script.lines().find(|line| line.starts_with(&format!("secret {role} "))).unwrap();
        let line = line.replace("$of_the_gateway", "--from-file=dedup-key --from-file=source-");
        let line = line.replace("$of_the_files", "--from-file=attachments-");
        let made: BTreeSet<&str> = line
            .split("--from-file=")
            .skip(1)
            .map(|file| file.trim().split_once('=').map_or(file.trim(), |(key, _)| key))
            .collect();
        assert_eq!(made, given.iter().copied().collect(), "{role}");
        assert_eq!(mounts(&pods[role]), expected_mounts(role), "{role}");
    }
    for job in ["provision", "migrate"] {
        assert_eq!(mounts(&pods[job]), expected_mounts("operator"), "{job}");
        let items = pods[job]["volumes"][1]["secret"]["items"].as_vec().unwrap();
        let items: Vec<_> = items.iter().map(|item| string(&item["path"])).collect();
        assert_eq!(items, ["nats-url", "postgres-url"], "{job}");
    }
}

/// Where a pod has what: the configuration and its secrets, and nothing else.
fn mounts(pod: &Yaml) -> BTreeMap<String, String> {
    let volumes = pod["volumes"].as_vec().unwrap();
    let source = |name: &Yaml| {
        let volume = volumes.iter().find(|volume| volume["name"] == *name).unwrap();
        string(if volume["secret"].is_badvalue() {
            &volume["configMap"]["name"]
        } else {
            &volume["secret"]["secretName"]
        })
    };
    let mounts = pod["containers"][0]["volumeMounts"].as_vec().unwrap().iter();
    mounts
        .inspect(|mount| assert_eq!(mount["readOnly"].as_bool(), Some(true)))
        .map(|mount| (string(&mount["mountPath"]), source(&mount["name"])))
        .collect()
}

fn expected_mounts(secret: &str) -> BTreeMap<String, String> {
    [("/etc/penstock", "penstock-config"), ("/run/penstock", secret)]
        .map(|(path, source)| (path.to_owned(), source.to_owned()))
        .into()
}

#[test]
fn what_a_container_is_told_to_do_is_a_command() {
    let cli = fs::read_to_string(deploy().join("../penstock/src/cli.rs")).unwrap();
    let told = |name: &str, what: &str| {
        let variant = format!("\n    {}{}(", what[..1].to_uppercase(), &what[1..]);
        assert!(cli.contains(&variant), "{name}: `penstock {what}`");
    };
    for (name, pod) in pods().iter().filter(|(name, _)| !["nats", "operator"].contains(&name.as_str())) {
        let args = strings(&pod["containers"][0]["args"]);
        told(name, &args[0]);
        assert_eq!(args[1..], ["--config", "/etc/penstock/penstock.toml"], "{name}");
        assert_eq!(args[0], *name);
    }
    for (name, service) in services() {
        if service.get("image").and_then(Yaml::as_str).is_some_and(|image| image.starts_with("penstock:")) {
            told(&name, &strings(&service["command"])[0]);
        }
    }
}

/// The port of `section.key` in a configuration.
fn port(config: &toml::Table, section: &str, key: &str) -> i64 {
    let address = config.get(section).and_then(|section| section.get(key)?.as_str()).unwrap();
    assert!(address.starts_with("0.0.0.0:"), "{section}.{key} is not reached from another pod");
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

#[test]
fn the_ports_are_those_of_the_configuration() {
    let config: toml::Table = text("kubernetes/penstock.toml").parse().unwrap();
    let objects = objects();
    let service = |name: &str| {
        let found = objects.iter().find(|object| {
            object["kind"].as_str() == Some("Service") && object["metadata"]["name"].as_str() == Some(name)
        });
        found.unwrap_or_else(|| panic!("no Service {name}"))["spec"].clone()
    };
    let pods = pods();
    let ports_of = |role: &str| -> Vec<(String, i64)> {
        let ports = pods[role]["containers"][0]["ports"].as_vec().unwrap();
        ports.iter().map(|port| (string(&port["name"]), port["containerPort"].as_i64().unwrap())).collect()
    };
    let policies = text("kubernetes/network-policies.yaml");
    for role in ROLES {
        let admin = port(&config, role, "admin");
        let mut expected = vec![("admin".to_owned(), admin)];
        if role == "gateway" {
            expected.insert(0, ("http".to_owned(), port(&config, role, "listen")));
        }
        assert_eq!(ports_of(role), expected);
        let name = format!("{role}-admin");
        assert_eq!(service(&name)["ports"][0]["port"].as_i64(), Some(admin));
        assert_eq!(service(&name)["clusterIP"].as_str(), Some("None"), "{name} is for names, not for the outside");
        assert!(policies.contains(&format!("port: {admin},")), "{role}");
        for (probe, path) in [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
            let asked = &pods[role]["containers"][0][probe]["httpGet"];
            assert_eq!((asked["path"].as_str(), asked["port"].as_str()), (Some(path), Some("admin")), "{role} {probe}");
        }
    }
    let public = service("gateway");
    assert_eq!(public["ports"].as_vec().unwrap().len(), 1, "the public port, and nothing else");
    assert_eq!(public["ports"][0]["port"].as_i64(), Some(port(&config, "gateway", "listen")));
    assert_eq!(public["ports"][0]["targetPort"].as_str(), Some("http"));
}
