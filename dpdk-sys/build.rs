//! Finds DPDK, refuses releases with known holes, compiles the shims and
//! generates the bindings. What is missing is said in one sentence.

use std::path::PathBuf;
use std::process::Command;

#[path = "src/release.rs"]
#[allow(unreachable_pub)]
mod release;

const PACKAGES: &str = "apt-get install libdpdk-dev libclang-dev clang pkg-config gcc";

/// What the project calls; bindgen adds the types these need.
const FUNCTIONS: &[&str] = &[
    "mv_.*",
    "rte_eal_(init|cleanup)",
    "rte_version",
    "rte_strerror",
    "rte_get_tsc_hz",
    "rte_log_set_global_level",
    "rte_thread_(register|unregister)",
    "rte_dev_(probe|remove)",
    "rte_eth_dev_(get_port_by_name|get_name_by_port|info_get|configure|start|stop|close|socket_id)",
    "rte_eth_dev_((get|set)_mtu|mac_addr_(add|remove)|default_mac_addr_set|set_mc_addr_list)",
    "rte_eth_dev_(is_removed|callback_(un)?register)",
    "rte_eth_dev_adjust_nb_rx_tx_desc",
    "rte_eth_(rx|tx)_queue_setup",
    "rte_eth_(promiscuous|allmulticast)_(enable|disable)",
    "rte_eth_(macaddrs?_get|stats_get|from_rings)",
    "rte_ring_create",
    "rte_pktmbuf_(free_bulk|copy)",
    "rte_mempool_(free|in_use_count|avail_count)",
    "rte_vhost_driver_(register|unregister|start|disable_features|callback_register)",
    "rte_vhost_(enqueue|dequeue)_burst",
    "rte_vhost_(get_ifname|get_vhost_vring|enable_guest_notification|rx_queue_count)",
];

fn main() {
    if let Err(sentence) = generate() {
        // Cargo prints this as an error of its own and stops the build.
        println!("cargo::error={sentence}");
    }
}

fn generate() -> Result<(), String> {
    println!("cargo::rerun-if-changed=shim.h");
    println!("cargo::rerun-if-changed=shim.c");
    println!("cargo::rerun-if-env-changed=MVSWITCH_ALLOW_OLD_DPDK");

    let missing = |what: &str| format!("mvswitch needs {what}. Type: {PACKAGES}");
    let dpdk = pkg_config::Config::new()
        .cargo_metadata(false)
        .probe("libdpdk")
        .map_err(|_| missing("the DPDK development files (libdpdk-dev, found by pkg-config)"))?;
    release::check(&dpdk.version)?;
    println!("cargo::metadata=version={}", dpdk.version);

    // The pkg-config crate drops -include and -march, and both matter.
    let flags = Command::new("pkg-config")
        .args(["--cflags", "libdpdk"])
        .output()
        .map_err(|_| missing("pkg-config"))?;
    let flags: Vec<String> =
        String::from_utf8_lossy(&flags.stdout).split_whitespace().map(str::to_owned).collect();

    let mut shim = cc::Build::new();
    shim.file("shim.c");
    flags.iter().for_each(|flag| _ = shim.flag(flag));
    shim.try_compile("mvshim")
        .map_err(|error| format!("the DPDK shim did not compile: {error}"))?;

    // Named one by one: `pkg-config --libs` lists fifty that are not used. PMDs
    // are loaded by EAL, except net_ring, whose constructor the demo wire calls.
    for library in [
        "rte_vhost",
        "rte_ethdev",
        "rte_mbuf",
        "rte_mempool",
        "rte_ring",
        "rte_eal",
        "rte_net_ring",
    ] {
        println!("cargo::rustc-link-lib=dylib={library}");
    }
    for directory in &dpdk.link_paths {
        println!("cargo::rustc-link-search=native={}", directory.display());
    }

    bindgen_without_panic(&flags).ok_or_else(|| missing("libclang (libclang-dev, clang)"))
}

/// bindgen panics when libclang is absent; a newcomer shall see a sentence instead.
fn bindgen_without_panic(flags: &[String]) -> Option<()> {
    std::panic::set_hook(Box::new(|_| ()));
    let bindings = std::panic::catch_unwind(|| {
        let mut builder = bindgen::Builder::default()
            .header("shim.h")
            .clang_args(flags)
            .allowlist_var("MV_.*")
            .allowlist_var(
                "RTE_(MAX_ETHPORTS|MBUF_DEFAULT_BUF_SIZE|PKTMBUF_HEADROOM|MEMPOOL_CACHE_MAX_SIZE|ETH_SPEED_NUM_UNKNOWN)",
            )
            .allowlist_var("RTE_LOG_.*")
            .opaque_type("rte_(mbuf|mempool|ring|device)")
            .blocklist_item("per_lcore_.*")
            .generate_comments(false)
            .derive_default(true)
            .default_enum_style(bindgen::EnumVariation::ModuleConsts)
            .use_core();
        for function in FUNCTIONS {
            builder = builder.allowlist_function(function);
        }
        builder.generate()
    });
    drop(std::panic::take_hook());
    let out = PathBuf::from(std::env::var_os("OUT_DIR")?).join("bindings.rs");
    bindings.ok()?.ok()?.write_to_file(out).ok()
}
