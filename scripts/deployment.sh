# The checks of deploy/, each file by a validator of its kind. To be sourced after scripts/lib.sh.
# What the files mean to a running gateway is tested in crates/tidegate-e2e/tests/e2e/deployment.rs.

VALIDATORS=.cache/validators

check_deployment() {
    if [[ -x $VALIDATORS/bin/kubernetes-validate ]]; then
        step "deployment: image by hadolint" "$VALIDATORS/bin/hadolint" deploy/Containerfile
        step "deployment: compose file by its specification" "$VALIDATORS/bin/python" scripts/check_compose.py deploy/compose.yaml
        step "deployment: Kubernetes manifests by their schemas" \
            "$VALIDATORS/bin/kubernetes-validate" --strict --quiet deploy/kubernetes/*.yaml deploy/workers/[!k]*.yaml deploy/redis/[!k]*.yaml
    else
        skip "deployment: image, compose file, Kubernetes manifests" "the validators are not installed; scripts/test does it"
    fi
    if have kubectl; then
        step "deployment: kustomization renders" render_kustomization
    else
        skip "deployment: kustomization renders" "kubectl is not installed"
    fi
    if have systemd-analyze; then
        step "deployment: units by systemd" check_units
    else
        skip "deployment: units by systemd" "systemd-analyze is not installed; it is in the package systemd"
    fi
}

# With workers, and each queue that they can have.
render_kustomization() {
    local overlay deploy queue outcome=0
    overlay=$(mktemp --directory)
    deploy=$(realpath --relative-to="$overlay" deploy)
    for queue in redis kafka; do
        echo "{resources: [$deploy], components: [$deploy/workers, $deploy/$queue]}" > "$overlay/kustomization.yaml"
        kubectl kustomize "$overlay" --output /dev/null || outcome=1
    done
    rm -rf "$overlay"
    return "$outcome"
}

# systemd looks for the programs that a unit starts: stand-ins below a root of our own will do. Then the hardening is weighed, 0 to 100.
check_units() {
    local root outcome=0
    root=$(mktemp -d)
    install -D --mode=755 /bin/true "$root/usr/local/bin/tidegate"
    install -D --mode=755 /bin/true "$root/usr/bin/kill"
    install -D --mode=644 --target-directory="$root/etc/systemd/system" deploy/systemd/tidegate.service
    # A worker is a copy of it, with a drop-in.
    install -D --mode=644 deploy/systemd/tidegate.service "$root/etc/systemd/system/tidegate-worker.service"
    cp -r deploy/systemd/tidegate-worker.service.d "$root/etc/systemd/system/"
    systemd-analyze verify --root="$root" --recursive-errors=no "${root}"/etc/systemd/system/*.service || outcome=1
    systemd-analyze security --offline=true --threshold=15 --no-pager deploy/systemd/*.service | grep "exposure level" || outcome=1
    rm -rf "$root"
    return "$outcome"
}
