# One network for several subjects: trained on the others, fine-tuned on one, and for the control on shuffled pairs.
from types import SimpleNamespace

from neural_recon.decoding.shared_subject import sizes

# subject -> those whose network its own starts from
OTHERS = CONFIG.decoder.pretrained(list(CONFIG.subjects))
NETWORK = "<results>/decoders/{subject}/network.safetensors"
# what trained weights depend on
TRAINING = {
    key: value
    for key, value in config["decoder"].items()
    if key not in ("checkpoint_every", "keep", "published", "test_trials")
}


def trained_on(subjects):
    """Trials of some subjects and features of their images."""
    return {
        "responses": [f"<results>/session_trials/{one}.h5" for one in subjects],
        "trials": [f"<results>/trials/{one}.parquet" for one in subjects],
        **{
            f"features_{space}_{k}": feature_files(SimpleNamespace(subject=one), space)
            for k, one in enumerate(subjects)
            for space in SPACES
        },
    }


def needed(what, subjects_of, stage):
    """A resource of a training, by the sizes of network and data; doubles as all that grows."""
    return lambda wildcards, attempt: (
        sizes.estimate(
            CONFIG.decoder,
            {
                one: (len(PLAN.trials(one)), DATA.n_voxels(one))
                for one in subjects_of(wildcards)
            },
            PLAN.feature_sizes(WEIGHTS)[0],
            stage.epochs,
            stage.batch,
        )[what]
        * 2 ** (attempt - 1)
    )


def others(wildcards):
    return OTHERS[wildcards.subject]


def own(wildcards):
    return [wildcards.subject]


def start_of(wildcards):
    """The trained network that a subject's starts from, if any; that of the control may be a published one."""
    if CONFIG.decoder.published:
        return NETWORK
    if wildcards.subject in OTHERS:
        return "<results>/shared_subject/{subject}/others.safetensors"
    return []


rule shared_pretrain:
    input:
        unpack(lambda wildcards: trained_on(others(wildcards))),
    output:
        network="<results>/shared_subject/{subject}/others.safetensors",
        losses="<results>/shared_subject/{subject}/others.tsv",
    priority: PICTURES
    threads: 8
    resources:
        gpu=1,
        mem_mb=needed("mem_mb", others, CONFIG.decoder.pretrain),
        runtime=needed("runtime", others, CONFIG.decoder.pretrain),
    params:
        decoder={
            key: value
            for key, value in TRAINING.items()
            if key not in ("calibration", "finetune", "shuffled_epochs")
        },
        seed=lookup("seed", within=config),
        spaces=SPACES,
        subjects=others,
    script:
        "../../scripts/shared_pretrain.py"


# The control: trained like the decoder, on images' features in each other's places.
rule shared_control:
    input:
        unpack(lambda wildcards: trained_on(own(wildcards))),
        start=start_of,
    output:
        network="<results>/shared_subject/{subject}/shuffled.safetensors",
        losses="<results>/shared_subject/{subject}/shuffled.tsv",
    priority: PICTURES
    threads: 8
    resources:
        gpu=1,
        mem_mb=needed("mem_mb", own, CONFIG.decoder.finetune),
        runtime=needed("runtime", own, CONFIG.decoder.finetune),
    params:
        control=True,
        decoder=TRAINING,
        seed=lookup("seed", within=config),
        spaces=SPACES,
    script:
        "../../scripts/shared_finetune.py"


if CONFIG.decoder.published:

    # In the place of training: a fitted model of the authors.
    rule shared_published:
        input:
            **{
                f"features_{space}": lambda wildcards, space=space: feature_files(
                    wildcards, space
                )[:1]
                for space in SPACES
            },
            responses="<results>/session_trials/{subject}.h5",
            weights=lambda wildcards: ancient(
                CONFIG.decoder.published.replace("{subject}", wildcards.subject)
            ),
        output:
            network=NETWORK,
        priority: PICTURES
        resources:
            mem_mb=needed("mem_mb", own, CONFIG.decoder.finetune),
            runtime=growing(30),
        params:
            content=lambda wildcards: content_of(
                CONFIG.decoder.published.replace("{subject}", wildcards.subject)
            )(wildcards),
            decoder=TRAINING,
            spaces=SPACES,
        script:
            "../../scripts/shared_published.py"

else:

    use rule shared_control as shared_finetune with:
        output:
            network=NETWORK,
            losses="<results>/shared_subject/{subject}/decoded.tsv",
        params:
            control=False,
            decoder={
                key: value
                for key, value in TRAINING.items()
                if key != "shuffled_epochs"
            },


rule shared_predict:
    input:
        responses="<results>/session_trials/{subject}.h5",
        trials="<results>/trials/{subject}.parquet",
        decoded=NETWORK,
        shuffled="<results>/shared_subject/{subject}/shuffled.safetensors",
        losses=lambda wildcards: [
            f"<results>/shared_subject/{wildcards.subject}/{name}.tsv"
            for name in [
                *(["others"] if wildcards.subject in OTHERS else []),
                *([] if CONFIG.decoder.published else ["decoded"]),
                "shuffled",
            ]
        ],
    output:
        predictions=expand(
            "<results>/predictions/{{subject}}/{space}/{fit}.h5",
            space=SPACES,
            fit=FITS,
        ),
        losses="<results>/losses/{subject}.tsv",
    priority: PICTURES
    threads: 8
    resources:
        gpu=1,
        mem_mb=needed("mem_mb", own, CONFIG.decoder.finetune),
        runtime=growing(60),
    params:
        seed=lookup("seed", within=config),
        sessions=lookup("decoder/finetune/sessions", within=config),
        test_trials=lookup("decoder/test_trials", within=config),
    script:
        "../../scripts/shared_predict.py"


# What new scans need besides the network (decoder.keep, `neural-recon decode`).
if CONFIG.decoder.keep:

    rule shared_scans:
        input:
            responses="<results>/session_trials/{subject}.h5",
            voxels="<results>/voxels/{subject}.parquet",
            data=data_files("grid"),
        output:
            scans="<results>/decoders/{subject}/scans.h5",
        resources:
            mem_mb=growing(2000),
            runtime=growing(10),
        params:
            data=data_state("grid"),
        script:
            "../../scripts/shared_scans.py"
