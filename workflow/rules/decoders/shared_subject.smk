# One network for several subjects: trained on the others, fine-tuned on one, and for the control on shuffled pairs.
include: "shared_subject_inputs.smk"


rule shared_pretrain:
    input:
        unpack(trained_on(others)),
        own_trials="<results>/trials/{subject}.parquet",
    output:
        network="<results>/shared_subject/{subject}/others.safetensors",
        losses="<results>/shared_subject/{subject}/others.tsv",
    priority: PICTURES
    threads: 8
    resources:
        gpu=1,
        mem_mb=growing(needed("mem_mb", others, CONFIG.decoder.pretrain)),
        runtime=growing(needed("runtime", others, CONFIG.decoder.pretrain)),
    params:
        decoder=CONFIG.decoder.trained_by("pretrain"),
        seed=lookup("seed", within=config),
        spaces=SPACES,
        subjects=others,
    script:
        "../../scripts/shared_pretrain.py"


# The control: trained like the decoder, on images' features in each other's places.
rule shared_control:
    input:
        unpack(trained_on(own)),
        start=start_of,
    output:
        network="<results>/shared_subject/{subject}/shuffled.safetensors",
        losses="<results>/shared_subject/{subject}/shuffled.tsv",
    priority: PICTURES
    threads: 8
    resources:
        gpu=1,
        mem_mb=growing(needed("mem_mb", own, CONFIG.decoder.finetune)),
        runtime=growing(needed("runtime", own, CONFIG.decoder.finetune)),
    params:
        control=True,
        decoder=CONFIG.decoder.trained_by("shuffled"),
        seed=lookup("seed", within=config),
        spaces=SPACES,
    script:
        "../../scripts/shared_finetune.py"


if CONFIG.decoder.published:

    # Instead of training: a fitted model of the authors.
    rule shared_published:
        input:
            unpack(features_by_space),
            responses="<results>/session_trials/{subject}.h5",
            weights=ancient(CONFIG.decoder.published),
        output:
            network=NETWORK,
        priority: PICTURES
        resources:
            mem_mb=growing(needed("mem_mb", own, CONFIG.decoder.finetune)),
            runtime=growing(30),
        params:
            content=published_content,
            decoder=CONFIG.decoder.trained_by("shuffled"),
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
            decoder=CONFIG.decoder.trained_by("finetune"),


rule shared_predict:
    input:
        responses="<results>/session_trials/{subject}.h5",
        trials="<results>/trials/{subject}.parquet",
        decoded=NETWORK,
        shuffled="<results>/shared_subject/{subject}/shuffled.safetensors",
        losses=loss_tables,
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
        mem_mb=growing(needed("mem_mb", own, CONFIG.decoder.finetune)),
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
